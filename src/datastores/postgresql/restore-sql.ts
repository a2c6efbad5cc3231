import { z } from "zod";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { Access } from "./connection.ts";
import { selectDatabase } from "./connection.ts";
import { quoteLiteral } from "./quote-sql.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";

/** Rows as JSON has them: numbers and booleans are such, whatever way the session goes. */
export async function selectRows<T>(session: Pick<SqlSession, "query">, sql: string, row: z.ZodType<T>): Promise<readonly T[]> {
  const [found] = await session.query(`SELECT coalesce(pg_catalog.json_agg(q), '[]')::text AS rows FROM (${sql}) q`);
  return z.array(row).parse(JSON.parse(found?.["rows"] ?? "[]"));
}

/** The SQLSTATE of a failed statement. */
export function readState(error: unknown): string | undefined {
  if (!(error instanceof HoldfastError)) return readErrno(error);
  const state = error.details?.["state"];
  return typeof state === "string" ? state : error.cause === undefined ? undefined : readState(error.cause);
}

/** All of the statements or none. */
export async function runTransaction(session: Pick<SqlSession, "query">, statements: readonly string[]): Promise<void> {
  await session.query("BEGIN");
  try {
    for (const statement of statements) await session.query(statement);
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/**
 * Held to the end of a transaction that changes what a restore replaces, or puts it back. A program that has died may have sent off its
 * COMMIT, which the server is still carrying out.
 */
export function lockSql(name: string): string {
  return `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(${quoteLiteral(name)}, 0))::text`;
}

/** The same lock for as long as the session lasts, for what no transaction can do. */
export function holdSql(name: string, act: "lock" | "unlock"): string {
  return `SELECT pg_catalog.pg_advisory_${act}(pg_catalog.hashtextextended(${quoteLiteral(name)}, 0))::text`;
}

/** How the sessions of a restore are opened. */
export interface Server {
  readonly access: Access;
  readonly psql: string;
  /** A server that is still starting is asked again for this long; not at all by default. */
  readonly waitForMs?: number;
}

/** A session with one database of the server. */
export function openDatabase({ access, ...settings }: Server, database: string, signal: AbortSignal): Promise<SqlSession> {
  return openSession(selectDatabase(access, database), settings, signal);
}

/** Databases that can be connected to while another one is renamed; every server has them unless somebody has removed them. */
const maintenanceDatabases: readonly string[] = ["postgres", "template1"];

/** A session with a database that is none of those that are to be renamed or removed. */
export async function openMaintenance(server: Server, spared: readonly string[], signal: AbortSignal): Promise<SqlSession> {
  const candidates = maintenanceDatabases.filter((name) => !spared.includes(name));
  let failure: unknown;
  for (const name of candidates) {
    try {
      return await openDatabase(server, name, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      failure ??= error;
      if (!(error instanceof HoldfastError) || (error.code !== "source-missing" && error.code !== "source-unreadable")) throw error;
    }
  }
  if (candidates.length > 0) throw failure;
  throw new HoldfastError("internal", `Bug: no database is left to work from while ${spared.join(", ")} change their names`);
}
