import { createHash } from "node:crypto";
import Database from "better-sqlite3";
import type { Contents } from "../../base/contents.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { formatTableKey } from "./dump-contents.ts";
import { quoteName } from "./quote-sql.ts";
import { readMetadata, type ExportRecord } from "./sqlite-metadata.ts";

/** An export that has been read to its end. */
export interface Examined {
  readonly record: ExportRecord;
  readonly contents: Contents;
}

/** Of which columns the tables have: what is compared of definitions after a restore, where types may have become wider. */
export function digestColumns(
  tables: readonly { readonly schema: string; readonly table: string; readonly columns: readonly { readonly column: string }[] }[],
): string {
  const lines = tables.map(({ schema, table, columns }) =>
    JSON.stringify([formatTableKey(schema, table), ...columns.map(({ column }) => column).toSorted()]),
  );
  return createHash("sha256").update(lines.toSorted().join("\n")).digest("hex");
}

/**
 * Reads a private copy of an export to its end: SQLite's own check, and the rows of each table against what the file says of itself.
 * @throws backup-damaged
 */
export function examineExport(path: string): Examined {
  const database = new Database(path, { readonly: true, fileMustExist: true });
  try {
    database.pragma("trusted_schema = off");
    const faults = (database.pragma("integrity_check(3)") as Record<string, string>[]).flatMap((row) => Object.values(row));
    if (faults.join() !== "ok") throw new HoldfastError("backup-damaged", `SQLite finds it damaged: ${faults.join("; ")}`);
    const record = readMetadata(database);
    const counts: Record<string, number> = {};
    for (const { name, schema, table, rows } of record.tables) {
      const found = Number(
        database
          .prepare(`SELECT count(*) FROM ${quoteName(name)}`)
          .pluck()
          .get(),
      );
      if (found !== rows) throw new HoldfastError("backup-damaged", `${name} has ${found} rows instead of ${rows}`);
      counts[`rows.${formatTableKey(schema, table)}`] = found;
    }
    return {
      record,
      contents: {
        counts,
        digests: { columns: digestColumns(record.tables) },
        facts: { serverVersion: record.head.serverVersion, format: "sqlite" },
      },
    };
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    if (error instanceof Database.SqliteError) throw new HoldfastError("backup-damaged", describeCause(error), { cause: error });
    throw error;
  } finally {
    database.close();
  }
}
