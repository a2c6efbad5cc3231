import { createReadStream } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext } from "../contract.ts";
import { ByteReader } from "./byte-reader.ts";
import { selectDatabase } from "./connection.ts";
import { readHeader } from "./custom-archive.ts";
import type { DatabaseContents } from "./dump-contents.ts";
import type { PostgresqlOptions } from "./options.ts";
import { countRows } from "./restore-count.ts";
import { loadDump } from "./restore-load.ts";
import type { DumpNeeds } from "./needs-reader.ts";
import { readNeeds } from "./restore-needs.ts";
import type { DatabaseShape } from "./restore-shape.ts";
import type { SpooledDump } from "./restore-spool.ts";
import { holdSql, openDatabase, selectRows, type Server } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import { quoteLiteral } from "./quote-sql.ts";
import { findTools, type Toolset } from "./tools.ts";

const headerBytes = 4096;

/** What pg_dump the dump is of; 0 where it does not say it. */
async function readDumpMajor(dump: SpooledDump): Promise<number> {
  if (dump.kind !== "custom" && dump.kind !== "directory") return 0;
  const path = dump.kind === "directory" ? join(dump.path, "toc.dat") : dump.path;
  const reader = new ByteReader(createReadStream(path, { end: headerBytes }) as AsyncIterable<Buffer>);
  try {
    return Number.parseInt((await readHeader(reader))?.dumpVersion ?? "0", 10) || 0;
  } finally {
    await reader.close();
  }
}

/**
 * The pg_restore (or psql) for a dump: of the server's version where that can read it, else the next one that can.
 * @throws tool-missing for a dump that is newer than what is installed (F37)
 */
export async function findLoader(
  options: PostgresqlOptions,
  dump: SpooledDump,
  serverMajor: number,
  signal: AbortSignal,
): Promise<Toolset> {
  const tool = dump.kind === "custom" || dump.kind === "directory" ? "pg_restore" : "psql";
  const dumpMajor = await readDumpMajor(dump);
  if (serverMajor > dumpMajor) {
    try {
      return await findTools(options, tool, serverMajor, signal);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "tool-missing") throw error;
    }
  }
  return await findTools(options, tool, dumpMajor, signal);
}

export interface DumpToStage {
  readonly dump: SpooledDump;
  readonly needs: DumpNeeds;
  readonly toolset: Toolset;
}

/** Looks at a dump before anything is made for it. */
export async function examineDump(
  server: Server,
  options: PostgresqlOptions,
  dump: SpooledDump,
  serverMajor: number,
  signal: AbortSignal,
): Promise<DumpToStage> {
  const toolset = await findLoader(options, dump, serverMajor, signal);
  return { dump, toolset, needs: await readNeeds(server.access, toolset, dump, signal) };
}

export interface StagedDatabase {
  readonly name: string;
  readonly oid: string;
  readonly contents: Pick<DatabaseContents, "rows" | "largeObjects">;
}

export interface StageSettings {
  /** Of the database that is made for it. */
  readonly name: string;
  readonly shape: DatabaseShape;
  readonly jobs: number;
  readonly progress: DriverContext["progress"];
  /** One after the other; see LoadSettings. */
  readonly selections?: readonly (readonly string[])[];
}

/** Makes a database, loads a dump into it and counts what it has then. `session` is with another database of the server. */
export async function stageDatabase(
  server: Server,
  session: SqlSession,
  { dump, toolset }: Pick<DumpToStage, "dump" | "toolset">,
  { name, shape, jobs, progress, selections = [[]] }: StageSettings,
  signal: AbortSignal,
): Promise<StagedDatabase> {
  await createDatabase(session, shape, name);
  for (const statement of shape.grant(name)) await session.query(statement);
  const oid = await readOid(session, name);
  const access = selectDatabase(server.access, name);
  for (const selection of selections) await loadDump(access, dump, { toolset, jobs, selection }, signal);
  await using staged = await openDatabase(server, name, signal);
  progress({ phase: "analysing" });
  // Without statistics the first queries of the application would be slow for hours.
  await staged.query("ANALYZE");
  progress({ phase: "counting" });
  return { name, oid, contents: await countRows(staged) };
}

/** Whoever removes it after our death waits until the server has ended with it. */
async function createDatabase(session: SqlSession, shape: DatabaseShape, name: string): Promise<void> {
  await session.query(holdSql(name, "lock"));
  await session.query(shape.create(name));
  await session.query(holdSql(name, "unlock"));
}

async function readOid(session: SqlSession, name: string): Promise<string> {
  const sql = `SELECT oid::text AS oid FROM pg_catalog.pg_database WHERE datname = ${quoteLiteral(name)}`;
  const [found] = await selectRows(session, sql, z.object({ oid: z.string() }));
  if (found === undefined) throw new HoldfastError("restore-failed", `the database ${name}, just made, is not there`);
  return found.oid;
}

export async function readMajor(session: SqlSession): Promise<number> {
  const [row] = await session.query("SELECT (current_setting('server_version_num')::int / 10000)::text AS major");
  return Number(row?.["major"] ?? 0);
}
