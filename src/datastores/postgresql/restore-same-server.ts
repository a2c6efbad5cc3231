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
 * What has been saved was saved from the server of `session`. A standby is one of that server when it gets what the restore has made there.
 * @param made databases of this restore
 * @throws target-unsafe
 */
export async function assertSameServer(
  session: SqlSession,
  options: PostgresqlOptions,
  made: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (options.restoreConnection === undefined) return;
  const found = await compareServers(session, options, signal);
  if (found === "same") return;
  if (found === "standby" && (await awaitReplay(options, made, signal)) === "replayed") return;
  throw found === "standby"
    ? createStandbyError()
    : new HoldfastError("target-unsafe", "restoreConnection leads to another server than the one that was saved just now", {
        hint: "Restore to the server that is backed up; or drop what is in the way on the other one first.",
      });
}

async function awaitReplay(options: PostgresqlOptions, made: readonly string[], signal: AbortSignal): Promise<"replayed" | "unknown"> {
  if (made.length === 0) return "unknown";
  await using backup = await openBackupSession(options, signal);
  if (backup === undefined) return "unknown";
  const sql = `SELECT count(*) AS found FROM pg_catalog.pg_database WHERE datname IN (${made.map(quoteLiteral).join(", ")})`;
  const deadlineMs = performance.now() + replayMs;
  while (performance.now() < deadlineMs) {
    const [row] = await selectRows(backup, sql, z.object({ found: z.number() }));
    if (row?.found === made.length) return "replayed";
    await delay(pollMs, undefined, { signal });
  }
  return "unknown";
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
