import Database from "better-sqlite3";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describeCause, HoldfastError, reportError } from "../../base/errors.ts";
import type { ChildMessage, ChildOperation, ChildRequest, ProbeRequest, QueryRequest } from "./child-protocol.ts";
import { classifySqliteError } from "./classify-error.ts";
import { examineFile } from "./examine.ts";
import { becomeIdentity } from "./identity-change.ts";
import { openDatabase, readText } from "./open-database.ts";
import { overwriteDatabase, readCookie } from "./overwrite.ts";
import { readTables, replaceTables, returnTables } from "./replace-tables.ts";
import { requireSafeSqlite } from "./require-safe-sqlite.ts";
import { countLive } from "./count-live.ts";
import { takeSnapshot } from "./snapshot.ts";

/**
 * The program that opens databases: a process of its own, because SQLite's calls block, because it acts as the owner of the database, and
 * because a process that has a database open must touch its file by no other means. It reads one request, writes messages, and
 * ends with its standard input: that is how it notices the death of its parent after a change of user.
 */
async function runChild(): Promise<void> {
  const reportEveryMs = 200;
  let reportedAt = 0;
  const report = (phase: string) => (bytes: number, totalBytes: number) => {
    const now = performance.now();
    if (now - reportedAt < reportEveryMs && bytes < totalBytes) return;
    reportedAt = now;
    send({ type: "progress", phase, bytes, totalBytes });
  };
  process.stdin.once("end", () => process.exit(1));
  const [line] = (await once(createInterface({ input: process.stdin }), "line")) as [string];
  try {
    const request = JSON.parse(line) as ChildRequest;
    requireSafeSqlite(readBundledVersion());
    // Everything is loaded now: the new user need not be able to read the program's own files.
    if (request.identity !== null) becomeIdentity(request.identity);
    finish({ type: "done", result: await performOperation(request.operation, report) });
  } catch (error) {
    finish({ type: "failed", error: reportError(classifySqliteError(error)) });
  }
}

async function performOperation(
  operation: ChildOperation,
  report: (phase: string) => (bytes: number, totalBytes: number) => void,
): Promise<unknown> {
  switch (operation.op) {
    case "probe":
      return probe(operation);
    case "count":
      return countLive(operation);
    case "snapshot": {
      const snapshot = await takeSnapshot(operation, report("copying"));
      report("checking")(0, 1);
      const { contents, notes } = await examineFile({ ...operation, path: operation.copy, header: "self-contained" });
      return { contents: { ...contents, facts: { ...contents.facts, ...snapshot.facts } }, notes: [...snapshot.notes, ...notes] };
    }
    case "examine":
      return examineFile(operation);
    case "convert-to-wal": {
      const database = openDatabase(operation.path, 1_000);
      database.pragma("journal_mode = wal");
      database.close();
      return null;
    }
    case "read-cookie":
      return readCookie(operation.path, operation.busyTimeoutMs);
    case "overwrite":
      await overwriteDatabase(operation, report("writing"));
      return null;
    case "query":
      return queryOnce(operation);
    case "read-tables":
      return readTables(operation);
    case "replace-tables":
      return replaceTables(operation);
    case "return-tables":
      return returnTables(operation);
  }
}

function probe(request: ProbeRequest): unknown {
  const database = openDatabase(request.path, request.busyTimeoutMs);
  try {
    database.pragma("query_only = on");
    const tables = database.prepare("select count(*) from sqlite_schema where type = 'table'").pluck().get();
    return { tables, journalMode: readText(database, "journal_mode") };
  } finally {
    database.close();
  }
}

function queryOnce({ path, sql, busyTimeoutMs }: QueryRequest): string | null {
  const database = openDatabase(path, busyTimeoutMs);
  try {
    database.pragma("query_only = on");
    const statement = database.prepare(sql);
    if (!statement.reader) throw new HoldfastError("refused", "the statement gives no rows");
    const [value = null] = (statement.raw().safeIntegers().get() ?? []) as readonly (string | number | bigint | Buffer | null)[];
    return value === null ? null : Buffer.isBuffer(value) ? value.toString("hex") : String(value);
  } catch (error) {
    const known = classifySqliteError(error);
    // The statement is the operator's, and so are its mistakes.
    throw known instanceof HoldfastError ? known : new HoldfastError("tool-failed", describeCause(error), { cause: error });
  } finally {
    database.close();
  }
}

function readBundledVersion(): string {
  const database = new Database(":memory:");
  try {
    return String(database.prepare("select sqlite_version()").pluck().get());
  } finally {
    database.close();
  }
}

function send(message: ChildMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function finish(message: ChildMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`, () => process.exit(0));
}

if (import.meta.main) await runChild();
