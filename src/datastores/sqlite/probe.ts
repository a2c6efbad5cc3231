import { stat } from "node:fs/promises";
import type { DriverContext, ProbeFacts } from "../contract.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { resolveIdentity } from "../../base/identity.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { SqliteOptions } from "./options.ts";
import { runChild } from "./run-child.ts";
import { createMissingError, readSourceFile } from "../sqlite-files/source-file.ts";

/** Opens the database as a dump would, and copies nothing. */
export async function probeDatabase(options: SqliteOptions, context: DriverContext, signal: AbortSignal): Promise<ProbeFacts> {
  try {
    const source = await readSourceFile(options.path);
    if (source === undefined) {
      if (!options.optional) throw createMissingError(options.path);
      return {
        summary: `SQLite database, not there (optional): ${options.path}`,
        stagingBytes: 0,
        estimatedBytes: 0,
        absent: true,
        notes: [],
      };
    }
    const identity = await resolveIdentity(options.runAs, source.attributes, signal);
    const { busyTimeoutMs } = options;
    const { tables, journalMode } = await runChild({ op: "probe", path: source.realPath, busyTimeoutMs }, { identity }, signal);
    // What the WAL holds may come on top of the file.
    const walBytes = await stat(`${source.realPath}-wal`).then(
      ({ size }) => size,
      () => 0,
    );
    const bytes = source.bytes + walBytes;
    const mode = journalMode === "wal" ? "WAL" : `journal mode ${journalMode}`;
    return {
      summary: `SQLite database, ${describeBytes(bytes)}, ${mode}, ${tables} table${tables === 1 ? "" : "s"}`,
      estimatedBytes: bytes,
      stagingBytes: bytes,
      device: Number(source.dev),
      absent: false,
      notes: [],
    };
  } catch (error) {
    throw prefixError(`Cannot read "${context.name}"`, error);
  }
}
