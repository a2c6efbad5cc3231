import type Database from "better-sqlite3";
import { createAbortError } from "../../base/subprocess.ts";
import { HoldfastError } from "../../base/errors.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { quoteTable } from "./restore-names.ts";
import type { SqlSession } from "./sql-session.ts";
import type { ImportTable } from "./sqlite-match.ts";
import { listColumns } from "./sqlite-swap.ts";
import { decodeValue, type SqliteValue } from "./sqlite-types.ts";

/** Of one INSERT: more rows at a time are hardly faster, and cost memory here and in the server. */
const batchBytes = 256 * 1024;
const batchRows = 1000;

/** Writes the rows of a table of the export, in the order of the file, as statements of many rows each. */
export async function fillTable(
  session: SqlSession,
  file: Database.Database,
  { source, target, columns }: ImportTable,
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  if (columns.length === 0) {
    // Nothing of its rows can be written: what counts is how many there are.
    await session.query(`INSERT INTO ${quoteTable(target)} SELECT FROM generate_series(1, ${source.rows})`);
    return;
  }
  const names = listColumns(columns.map(({ column }) => column));
  const head = `INSERT INTO ${quoteTable(target)} (${names}) OVERRIDING SYSTEM VALUE VALUES `;
  const select = file
    .prepare(`SELECT ${columns.map(({ name }) => quoteName(name)).join(", ")} FROM ${quoteName(source.name)}`)
    .safeIntegers()
    .raw();
  let batch: string[] = [];
  let bytes = 0;
  let total = 0;
  const flush = async (): Promise<void> => {
    if (signal.aborted) throw createAbortError(signal, "The restore was stopped");
    if (batch.length > 0) await session.query(head + batch.join(","));
    total += bytes;
    progress(total);
    batch = [];
    bytes = 0;
  };
  for (const row of select.iterate() as IterableIterator<SqliteValue[]>) {
    const values = row.map((value, at) => formatValue(columns[at]?.storage ?? "text", value, source.name));
    const text = `(${values.join(",")})`;
    batch.push(text);
    bytes += text.length;
    if (bytes >= batchBytes || batch.length >= batchRows) await flush();
  }
  await flush();
}

function formatValue(storage: Parameters<typeof decodeValue>[0], value: SqliteValue, table: string): string {
  const text = decodeValue(storage, value);
  if (text === undefined) throw new HoldfastError("restore-failed", `table ${table} of the export has a value that no export writes`);
  return text === null ? "NULL" : quoteLiteral(text);
}
