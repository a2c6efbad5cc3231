import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { formatInstant } from "../../base/clock.ts";
import { emptyContents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
import { describeAddress, resolveAccess } from "./connection.ts";
import { describeEmpty } from "./describe-empty.ts";
import { formatTableKey } from "./dump-contents.ts";
import { formatEntryName } from "./entry-names.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { findPsql, readServerFacts } from "./server-facts.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";
import { examineExport, type Examined } from "./sqlite-examine.ts";
import { exportTables } from "./sqlite-export.ts";

interface Exported {
  readonly path: string;
  readonly database: string;
  readonly sourcePath: string;
  readonly examined: Examined;
}

/** Writes every table of one database into one SQLite file, from one snapshot, and yields it once it has been read back. */
export async function* dumpSqlite(
  options: PostgresqlOptions,
  context: DriverContext,
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const exported = await exportInTime(options, context, signal);
  if (exported === undefined) return { contents: emptyContents, checked: true, notes: [], absent: true };
  const { path, database, sourcePath, examined } = exported;
  try {
    const { size } = await stat(path);
    yield {
      name: options.entry ?? formatEntryName(database, "custom").replace(/\.backup$/, ".db"),
      form: "file",
      sourcePath,
      body: { kind: "file", path, bytes: size },
      finish: () => Promise.resolve([]),
    };
  } finally {
    await rm(path, { force: true });
  }
  return {
    contents: examined.contents,
    checked: true,
    notes: [...describeLosses(examined), ...describeEmpty([{ database, ...countExported(examined) }])],
    absent: false,
  };
}

async function exportInTime(options: PostgresqlOptions, context: DriverContext, signal: AbortSignal): Promise<Exported | undefined> {
  const maxDurationMs = options.maxDuration ?? defaults.maxDurationMs;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(createTooLongError(maxDurationMs)), maxDurationMs);
  const limited = AbortSignal.any([signal, limit.signal]);
  const path = join(context.stagingDir, "export.db");
  try {
    return await exportOnce(options, path, context, limited);
  } catch (error) {
    await rm(path, { force: true });
    if (options.optional && error instanceof HoldfastError && error.code === "source-missing" && isNoDatabase(error)) return undefined;
    const cause = limited.aborted ? createAbortError(limited, "The export was stopped") : error;
    throw explainFailure(`Cannot dump "${context.name}"`, cause);
  } finally {
    clearTimeout(timer);
  }
}

/** The database itself is missing, not a table that was asked for. */
function isNoDatabase({ details }: HoldfastError): boolean {
  return details?.["what"] !== "tables";
}

function createTooLongError(limitMs: number): HoldfastError {
  return new HoldfastError("timeout", `it was not done within ${limitMs / 1000} s`, {
    hint: "Raise maxDuration, leave tables out (excludeTables), or run it when the server has less to do.",
  });
}

async function exportOnce(options: PostgresqlOptions, path: string, context: DriverContext, signal: AbortSignal): Promise<Exported> {
  context.progress({ phase: "connecting" });
  const access = await resolveAccess(options, "backup", signal);
  const psql = await findPsql(options, signal);
  await using session = await openSession(access, { psql, waitForMs: options.waitFor ?? defaults.waitForMs }, signal);
  const { version, database } = await readServerFacts(session);
  const head = { format: 1 as const, madeAt: formatInstant(Date.now()), database, serverVersion: version };
  await prepareSnapshot(session, options);
  await exportTables({ session, options, path, head, progress: (bytes) => context.progress({ phase: "export", bytes }) }, signal);
  context.progress({ phase: "check" });
  return { path, database, sourcePath: describeAddress(access.connection, database), examined: examineExport(path) };
}

/** What the server writes must not depend on anybody's settings, and no policy may hide rows: it is an error then. */
async function prepareSnapshot(session: SqlSession, options: PostgresqlOptions): Promise<void> {
  for (const setting of [
    "row_security = off",
    "TimeZone = 'UTC'",
    "DateStyle = 'ISO, YMD'",
    "IntervalStyle = 'iso_8601'",
    "bytea_output = 'hex'",
    "extra_float_digits = 3",
    "xmloption = 'content'",
    `lock_timeout = ${options.lockTimeout ?? defaults.lockTimeoutMs}`,
  ])
    await session.query(`SET ${setting}`);
}

const namesShown = 5;

/** What was left out is not empty. */
function countExported({ record }: Examined): { readonly rows: ReadonlyMap<string, number>; readonly largeObjects: number } {
  const rows = record.tables.map((each) => [formatTableKey(each.schema, each.table), each.rows] as const);
  return { rows: new Map(rows), largeObjects: record.leftOut.length };
}

/** What SQLite cannot hold is told, and is in the file's own list. Rows that are not there make the backup no worse: they are made from others, or elsewhere. */
function* describeLosses({ record }: Examined): Generator<Note> {
  if (record.leftOut.length > 0) {
    const names = record.leftOut.slice(0, namesShown).map(({ schema, table, reason }) => `${schema}.${table} (${reason})`);
    yield { level: "info", code: "left-out", message: `Not in the SQLite export: ${describeList(names, record.leftOut.length)}` };
  }
  const definitions = record.tables.flatMap(({ name, leftOut }) => leftOut.map((each) => `${name}: ${each}`));
  if (definitions.length > 0) {
    const shown = describeList(definitions.slice(0, namesShown), definitions.length);
    yield { level: "info", code: "definitions-left-out", message: `Definitions that SQLite cannot hold: ${shown}` };
  }
}

function describeList(shown: readonly string[], count: number): string {
  return shown.join("; ") + (count > shown.length ? `; and ${count - shown.length} more, listed in its table holdfast_export` : "");
}
