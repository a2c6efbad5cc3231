import type Database from "better-sqlite3";
import { z } from "zod";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { PostgresqlOptions } from "./options.ts";
import { quoteName } from "./quote-sql.ts";
import { quoteTable } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import { writeMetadata, type ExportRecord, type SequenceRecord, type TableRecord } from "./sqlite-metadata.ts";
import { planExport, type ExportTable } from "./sqlite-schema.ts";
import { readRelations, readSourceSchema, type Relation, type SourceSchema } from "./sqlite-source.ts";
import { createExportFile, writeRows } from "./sqlite-write.ts";

export interface Export {
  readonly session: SqlSession;
  readonly options: PostgresqlOptions;
  /** Of the file that is to be made. */
  readonly path: string;
  readonly head: ExportRecord["head"];
  /** Told the bytes that have been read so far. */
  readonly progress: (bytes: number) => void;
}

/** Reads all tables in one snapshot and writes the file. When it throws, what it has written is nothing. */
export async function exportTables(work: Export, signal: AbortSignal): Promise<void> {
  const { session, options, path } = work;
  const relations = await beginSnapshot(session, options);
  const source = await readSourceSchema(session, relations, options);
  const plan = planExport(source);
  const database = createExportFile(path);
  try {
    database.exec("BEGIN");
    for (const sql of plan.createTables) run(database, sql);
    const tables: TableRecord[] = [];
    const state = { bytes: 0 };
    for (const table of plan.tables) tables.push({ ...table, rows: await exportTable(work, database, table, state, signal) });
    const sequences = await readSequences(session, source);
    await session.query("COMMIT");
    for (const sql of plan.finish) run(database, sql);
    const large = source.largeObjects === 0 ? [] : [{ schema: "pg_catalog", table: "pg_largeobject", reason: "large objects" }];
    writeMetadata(database, { head: work.head, tables, sequences, leftOut: [...plan.leftOut, ...large] });
    database.exec("COMMIT");
  } catch (error) {
    throw explainFile(error);
  } finally {
    database.close();
  }
}

/** What SQLite could not write: its own reasons are those of the staging directory. */
function explainFile(error: unknown): unknown {
  const code = error instanceof HoldfastError ? undefined : readErrno(error);
  if (code === undefined || !/^SQLITE_(FULL|IOERR)/.test(code)) return error;
  const isFull = code === "SQLITE_FULL" || code === "SQLITE_IOERR_WRITE";
  return new HoldfastError(isFull ? "no-space" : "disk-failed", `the staging directory cannot hold the export: ${describeCause(error)}`, {
    hint: "The whole export is staged as a file: set settings.stagingDir to a place with room for it.",
    cause: error,
  });
}

const attempts = 5;

/**
 * Locks the tables as a reader does, then takes the snapshot: what is in it is how the tables are. A table that was made meanwhile is not
 * locked yet: then it is begun again.
 */
async function beginSnapshot(session: SqlSession, options: PostgresqlOptions): Promise<readonly Relation[]> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await readRelations(session, options);
    try {
      await session.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const lockable = before.filter(({ kind, isOfExtension }) => (kind === "r" || kind === "p") && !isOfExtension);
      // A partitioned table's lock would be one of its partitions too, which may be left out.
      if (lockable.length > 0)
        await session.query(`LOCK TABLE ${lockable.map((each) => `ONLY ${quoteTable(each)}`).join(", ")} IN ACCESS SHARE MODE`);
      const locked = await readRelations(session, options);
      if (JSON.stringify(locked) === JSON.stringify(before)) return locked;
      throw new HoldfastError("source-changed", "tables were made, renamed or removed while the export began");
    } catch (error) {
      await session.query("ROLLBACK").catch(() => undefined);
      if (attempt === attempts || !(error instanceof HoldfastError) || error.code !== "source-changed") throw error;
    }
  }
}

function run(database: Database.Database, sql: string): void {
  try {
    database.exec(sql);
  } catch (error) {
    if (readErrno(error) !== "SQLITE_ERROR") throw error;
    throw new HoldfastError("source-unreadable", `SQLite refuses ${JSON.stringify(sql.slice(0, 200))}: ${describeCause(error)}`, {
      hint: "Leave the table out (excludeTables), or back up with `format: custom`; and please report it.",
      cause: error,
    });
  }
}

async function exportTable(
  { session, progress }: Export,
  database: Database.Database,
  table: ExportTable,
  state: { bytes: number },
  signal: AbortSignal,
): Promise<number> {
  const columns = table.columns.map(({ column }) => quoteName(column)).join(", ");
  const add = (bytes: number): void => {
    state.bytes += bytes;
    progress(state.bytes);
  };
  try {
    const chunks = session.copyOut(`COPY (SELECT ${columns} FROM ONLY ${quoteTable(table)}) TO STDOUT`);
    const rows = await writeRows(database, table, chunks, add, signal);
    const counted = await countRows(session, table);
    if (rows !== counted) throw new HoldfastError("source-changed", `${rows} rows came, and the snapshot has ${counted}`);
    return rows;
  } catch (error) {
    if (!/^SQLITE_(CONSTRAINT|TOOBIG|MISMATCH)/.test(readErrno(error) ?? "")) throw error;
    throw new HoldfastError("source-unreadable", `SQLite refuses a row of ${table.name}: ${describeCause(error)}`, {
      hint: "Leave the table out (excludeTables), or back up with `format: custom`; and please report it.",
      cause: error,
    });
  }
}

const countRow = z.object({ rows: z.number() });

/** Of the table itself, without those that inherit from it. */
export async function countRows(session: SqlSession, table: { readonly schema: string; readonly table: string }): Promise<number> {
  const [found] = await selectRows(session, `SELECT count(*) AS rows FROM ONLY ${quoteTable(table)}`, countRow);
  return found?.rows ?? 0;
}

const valueRow = z.object({ at: z.number(), value: z.string(), called: z.boolean() });
const sequencesAtOnce = 200;

/** Sequences are in no snapshot: they are read last, so that none lies behind the rows. */
async function readSequences(session: SqlSession, source: SourceSchema): Promise<readonly SequenceRecord[]> {
  const owners = new Map([...source.tables, ...source.partitioned].map((relation) => [relation.oid, relation]));
  const records: SequenceRecord[] = [];
  for (let start = 0; start < source.sequences.length; start += sequencesAtOnce) {
    const some = source.sequences.slice(start, start + sequencesAtOnce);
    const selects = some.map(
      ({ schema, sequence }, at) =>
        `SELECT ${at} AS at, last_value::text AS value, is_called AS called FROM ${quoteName(schema)}.${quoteName(sequence)}`,
    );
    const values = new Map((await selectRows(session, selects.join(" UNION ALL "), valueRow)).map((row) => [row.at, row]));
    for (const [at, { schema, sequence, owner }] of some.entries()) {
      const relation = owner === null ? undefined : owners.get(owner);
      const { value = "1", called = false } = values.get(at) ?? {};
      const of = relation === undefined ? null : { schema: relation.schema, table: relation.table };
      records.push({ schema, sequence, lastValue: value, isCalled: called, owner: of });
    }
  }
  return records;
}
