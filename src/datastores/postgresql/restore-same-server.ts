import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { resolveAccess, selectDatabase } from "./connection.ts";
import type { PostgresqlOptions } from "./options.ts";
import { quoteLiteral } from "./quote-sql.ts";
import { selectRows } from "./restore-sql.ts";
import { findPsql } from "./server-facts.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";

const replayMs = 30_000;
const pollMs = 200;

/**
 * Whether the connection of backups ends at the server of `session`: a clone, or a snapshot of the machine, has the same system identifier,
 * but not the locks of its original. `standby`: it is one, and sees no locks. `unknown`: it cannot be asked, and nothing can be saved by it.
 */
export async function compareServers(
  session: SqlSession,
  options: PostgresqlOptions,
  signal: AbortSignal,
): Promise<"same" | "other" | "standby" | "unknown"> {
  const key = randomBytes(8);
  await using backup = await openBackupSession(options, signal);
  if (backup === undefined) return "unknown";
  await session.query("BEGIN");
  try {
    await session.query(`SELECT pg_catalog.pg_advisory_xact_lock(${quoteLiteral(String(key.readBigInt64BE()))}::bigint)::text`);
    const [found] = await selectRows(
      backup,
      `SELECT pg_catalog.pg_is_in_recovery() AS standby, EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objsubid = 1
         AND classid = ${quoteLiteral(String(key.readUInt32BE(0)))}::oid AND objid = ${quoteLiteral(String(key.readUInt32BE(4)))}::oid) AS seen`,
      z.object({ standby: z.boolean(), seen: z.boolean() }),
    );
    if (found?.standby === true) return "standby";
    return found?.seen === true ? "same" : "other";
  } finally {
    await session.query("ROLLBACK");
  }
}

/**
 * A standby that backups are made of is one of the server that is restored when it gets what that restore has made there.
 * @throws target-unsafe
 */
export async function requireReplayed(options: PostgresqlOptions, databases: readonly string[], signal: AbortSignal): Promise<void> {
  if (options.restoreConnection === undefined) return;
  await using backup = await openBackupSession(options, signal);
  if (backup === undefined) return;
  const names = databases.map(quoteLiteral).join(", ");
  const sql = `SELECT pg_catalog.pg_is_in_recovery() AS standby, ${
    databases.length === 0 ? "0" : `(SELECT count(*) FROM pg_catalog.pg_database WHERE datname IN (${names}))`
  } AS found`;
  const deadlineMs = performance.now() + replayMs;
  for (;;) {
    const [row] = await selectRows(backup, sql, z.object({ standby: z.boolean(), found: z.number() }));
    if (row?.standby !== true || (databases.length > 0 && row.found === databases.length)) return;
    if (databases.length === 0 || performance.now() > deadlineMs) throw createStandbyError();
    await delay(pollMs, undefined, { signal });
  }
}

export function createStandbyError(): HoldfastError {
  return new HoldfastError(
    "target-unsafe",
    "backups are made of a standby, and whether it follows the server that would be changed is not known: that one's data might be saved by nobody",
    { hint: "Restore with a datastore that backs up the primary itself." },
  );
}

async function openBackupSession(options: PostgresqlOptions, signal: AbortSignal): Promise<SqlSession | undefined> {
  const access = await resolveAccess(options, "backup", signal);
  const psql = await findPsql(options, signal);
  for (const database of [access.connection.database, "postgres", "template1"]) {
    try {
      return await openSession(database === undefined ? access : selectDatabase(access, database), { psql }, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof HoldfastError)) throw error;
      if (error.code !== "source-missing") return undefined;
    }
  }
  return undefined;
}
