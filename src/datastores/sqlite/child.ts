import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { ChildOperation, ProbeRequest, QueryRequest } from "./child-protocol.ts";
import { classifySqliteError } from "../sqlite-files/classify-error.ts";
import { examineFile } from "./examine.ts";
import { openDatabase, readText } from "../sqlite-files/open-database.ts";
import { overwriteDatabase, readCookie } from "./overwrite.ts";
import { readTables, replaceTables, returnTables } from "./replace-tables.ts";
import { type ChildReport, serveChild } from "../sqlite-files/serve-child.ts";
import { countLive } from "./count-live.ts";
import { takeSnapshot } from "../sqlite-files/snapshot.ts";

async function performOperation(operation: ChildOperation, report: ChildReport): Promise<unknown> {
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

if (import.meta.main) await serveChild((operation, report) => performOperation(operation as ChildOperation, report));
