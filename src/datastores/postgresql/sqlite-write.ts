import { setImmediate } from "node:timers/promises";
import Database from "better-sqlite3";
import { createAbortError } from "../../base/subprocess.ts";
import { HoldfastError } from "../../base/errors.ts";
import { quoteName } from "./quote-sql.ts";
import { readCopyText } from "./sqlite-copy-text.ts";
import type { ExportTable } from "./sqlite-schema.ts";
import { encodeValue, type SqliteValue } from "./sqlite-types.ts";

const yieldAfterMs = 20;

/** A new file that is only kept when all of it could be written: no journal, no waiting for the disk. The caller closes it. */
export function createExportFile(path: string): Database.Database {
  const database = new Database(path);
  database.pragma("journal_mode = OFF");
  database.pragma("synchronous = OFF");
  database.pragma("foreign_keys = OFF");
  database.pragma("encoding = 'UTF-8'");
  return database;
}

/** Writes the rows of one table as they arrive, and gives their number. Lets other work go on meanwhile, so that it can be stopped. */
export async function writeRows(
  database: Database.Database,
  { name, columns }: ExportTable,
  chunks: AsyncIterable<Uint8Array>,
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const places = columns.map(() => "?").join(", ");
  const insert = database.prepare(
    `INSERT INTO ${quoteName(name)} (${columns.map((column) => quoteName(column.name)).join(", ")}) VALUES (${places})`,
  );
  let rows = 0;
  let yieldedAtMs = performance.now();
  const counted = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      progress(chunk.length);
      yield chunk;
    }
  };
  for await (const batch of readCopyText(counted())) {
    for (const row of batch) {
      if (row.length !== columns.length) throw new HoldfastError("source-changed", `a row of ${name} has another number of columns`);
      insert.run(row.map((text, at): SqliteValue => (text === null ? null : encodeValue(columns[at]?.storage ?? "text", text))));
    }
    rows += batch.length;
    if (performance.now() - yieldedAtMs < yieldAfterMs) continue;
    await setImmediate();
    if (signal.aborted) throw createAbortError(signal, "The export was stopped");
    yieldedAtMs = performance.now();
  }
  return rows;
}
