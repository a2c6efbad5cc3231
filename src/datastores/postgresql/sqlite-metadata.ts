import type Database from "better-sqlite3";
import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { metadataTable } from "./sqlite-schema.ts";

const columnFields = z.object({
  name: z.string(),
  column: z.string(),
  type: z.string(),
  storage: z.enum(["integer", "boolean", "real", "blob", "text"]),
  generated: z.boolean(),
});
const tableFields = z.object({
  schema: z.string(),
  table: z.string(),
  rows: z.int(),
  columns: z.array(columnFields).readonly(),
  partitionOf: z.array(z.string()).readonly(),
  leftOut: z.array(z.string()).readonly(),
});
const sequenceFields = z.object({
  schema: z.string(),
  sequence: z.string(),
  /** 64 bits: text. */
  lastValue: z.string(),
  isCalled: z.boolean(),
  /** The table whose column it belongs to. */
  owner: z.object({ schema: z.string(), table: z.string() }).nullable(),
});
const headFields = z.object({ format: z.literal(1), madeAt: z.string(), database: z.string(), serverVersion: z.string() });

export type TableRecord = z.output<typeof tableFields> & { readonly name: string };
export type SequenceRecord = z.output<typeof sequenceFields>;

/** What the file says of itself, in its table `holdfast_export`. */
export interface ExportRecord {
  readonly head: z.output<typeof headFields>;
  readonly tables: readonly TableRecord[];
  readonly sequences: readonly SequenceRecord[];
  readonly leftOut: readonly { readonly schema: string; readonly table: string; readonly reason: string }[];
}

export function writeMetadata(database: Database.Database, { head, tables, sequences, leftOut }: ExportRecord): void {
  database.exec(`CREATE TABLE ${metadataTable} (kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL)`);
  const insert = database.prepare(`INSERT INTO ${metadataTable} VALUES (?, ?, ?)`);
  const write = (kind: string, name: string, value: unknown): void => {
    insert.run(kind, name, JSON.stringify(value));
  };
  write("export", head.database, head);
  for (const { name, ...table } of tables) write("table", name, table);
  for (const sequence of sequences) write("sequence", `${sequence.schema}.${sequence.sequence}`, sequence);
  for (const each of leftOut) write("left out", `${each.schema}.${each.table}`, each);
}

/** Throws `backup-damaged` for a file that is no export, `format-unsupported` for one of a later version. */
export function readMetadata(database: Database.Database): ExportRecord {
  const exists = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(metadataTable);
  if (exists === undefined) throw new HoldfastError("backup-damaged", `it has no table ${metadataTable}: not an export of PostgreSQL`);
  const rows = database.prepare<[], { kind: string; name: string; value: string }>(`SELECT kind, name, value FROM ${metadataTable}`).all();
  try {
    const parsed = rows.map(({ kind, name, value }) => ({ kind, name, value: JSON.parse(value) as unknown }));
    const pick = <T>(wanted: string, fields: z.ZodType<T>): readonly (T & { readonly name: string })[] =>
      parsed.flatMap(({ kind, name, value }) => (kind === wanted ? [{ ...fields.parse(value), name }] : []));
    const format = z.object({ format: z.int() }).parse(parsed.find(({ kind }) => kind === "export")?.value).format;
    if (format > 1) throw new HoldfastError("format-unsupported", `the export is of format ${format}, which a later version wrote`);
    const [head] = pick("export", headFields);
    if (head === undefined) throw new HoldfastError("backup-damaged", `its table ${metadataTable} does not say what it is`);
    const leftOut = pick("left out", z.object({ schema: z.string(), table: z.string(), reason: z.string() }));
    return { head, tables: pick("table", tableFields), sequences: pick("sequence", sequenceFields), leftOut };
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError("backup-damaged", `its table ${metadataTable} cannot be read`, { cause: error });
  }
}
