import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { OverwriteRequest } from "./child-protocol.ts";
import { openDatabase, readNumber } from "../sqlite-files/open-database.ts";

const pollMs = 20;
const pagesPerStep = 4_000;

type Report = (bytes: number, totalBytes: number) => void;

/**
 * Replaces the content of a database that applications have open, in one transaction: they see the old content until it is all there.
 * The backup API raises the target's schema cookie by one, always; that, not its return value, tells that the transaction was committed:
 * for a locked target it resolves as if there had been nothing to do.
 */
export async function overwriteDatabase(request: OverwriteRequest, report: Report): Promise<void> {
  const deadlineAt = performance.now() + request.busyTimeoutMs;
  for (;;) {
    const before = readCookie(request.path, request.busyTimeoutMs);
    await writeOnce(request, report);
    if (readCookie(request.path, request.busyTimeoutMs) === nextCookie(before)) return;
    if (performance.now() > deadlineAt) {
      throw new HoldfastError("target-in-use", "another program holds a lock on the database", {
        hint: "Stop the application with a stop hook, or raise busyTimeoutMs.",
      });
    }
    await delay(pollMs);
  }
}

async function writeOnce(request: OverwriteRequest, report: Report): Promise<void> {
  const copy = openDatabase(request.copy, request.busyTimeoutMs);
  try {
    const pageBytes = readNumber(copy, "page_size");
    await copy.backup(request.path, {
      progress: ({ totalPages, remainingPages }) => {
        report((totalPages - remainingPages) * pageBytes, totalPages * pageBytes);
        return pagesPerStep;
      },
    });
  } catch (error) {
    if (!(readErrno(error) ?? "").startsWith("SQLITE_READONLY")) throw error;
    throw new HoldfastError(
      "target-in-use",
      "a database in WAL mode whose page size differs from the backup's cannot be replaced while it is open",
      {
        hint: "Stop the application with a stop hook; then the file itself is replaced.",
        retryable: false,
        cause: error,
      },
    );
  } finally {
    copy.close();
  }
}

/** The schema cookie: changed by DDL and by an overwrite, not by writing rows. */
export function readCookie(path: string, busyTimeoutMs: number): number {
  const database = openDatabase(path, busyTimeoutMs);
  try {
    return readNumber(database, "schema_version");
  } finally {
    database.close();
  }
}

/** The cookie of a database after an overwrite; 32 bits, signed. */
export function nextCookie(cookie: number): number {
  return (cookie + 1) | 0;
}
