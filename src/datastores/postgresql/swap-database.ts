import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import { createSideName } from "./restore-names.ts";
import { readProperties } from "./restore-properties.ts";
import { shapeLike, type DatabaseShape } from "./restore-shape.ts";
import { requireUnsubscribed } from "./restore-replication.ts";
import { lockSql, readState, runTransaction, selectRows } from "./restore-sql.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import type { BlockStep, SwapDatabaseStep } from "./swap-steps.ts";

/** How long connections of others may take to end. */
const cutMs = 60_000;
const pollMs = 100;

export interface SwapRequest {
  readonly database: string;
  /** Of the one that is to be replaced, as it was when the restore began; null where there was none. */
  readonly oid: string | null;
  /** The database to put in its place; none where its absence is restored. */
  readonly staged: { readonly name: string; readonly oid: string } | undefined;
  /** What a database that does not exist yet is to be like. */
  readonly shape: DatabaseShape | undefined;
  readonly mark: string;
}

/**
 * Puts a staged database in the place of another by renaming both in one transaction. Whoever is connected is cut off and must connect
 * again; from the first recorded step on nobody can connect until it is done. `session` is with a third database.
 */
export async function swapDatabase(
  session: SqlSession,
  { database, oid, staged, shape, mark }: SwapRequest,
  record: (step: SwapStep) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const old = await readProperties(session, database);
  if (old === undefined && staged === undefined) return;
  if (old !== undefined) {
    requireSameDatabase(old, oid);
    await assertNoPrepared(session, database);
    await requireUnsubscribed(session, database);
  }
  const like = old === undefined ? shape : shapeLike(old);
  // Not before now: who was given what may have been changed since it was staged.
  if (staged !== undefined && like !== undefined) await runTransaction(session, [...like.grant(staged.name), ...like.finish(staged.name)]);
  if (old?.allowsConnections === true) {
    await record({ op: "block", database, oid: old.oid } satisfies BlockStep);
    await session.query(allowSql(database, "false"));
  }
  if (staged !== undefined) await session.query(allowSql(staged.name, "false"));
  const aside = createSideName(database, "old", mark);
  const step: SwapDatabaseStep = {
    op: "swap",
    database,
    aside,
    oid: old?.oid ?? null,
    staged: staged?.name ?? null,
    stagedOid: staged?.oid ?? null,
  };
  await record(step);
  const statements = [
    lockSql(aside),
    ...(old === undefined ? [] : [renameSql(database, aside)]),
    ...(staged === undefined ? [] : [renameSql(staged.name, database), allowSql(database, String(old?.allowsConnections ?? true))]),
  ];
  await renameWhenFree(session, statements, [database, ...(staged === undefined ? [] : [staged.name])], signal);
}

/** What another program has made since may hold what nobody has saved. @throws target-in-use */
export function requireSameDatabase({ name, oid }: { readonly name: string; readonly oid: string }, expected: string | null): void {
  if (oid === expected) return;
  const what = expected === null ? "was made" : "has taken the place of another";
  throw new HoldfastError("target-in-use", `the database ${name} ${what} while the restore was going on`, {
    hint: "Stop the program that makes it, then restore again: it is saved first then.",
  });
}

export function allowSql(database: string, allowed: string): string {
  return `ALTER DATABASE ${quoteName(database)} WITH ALLOW_CONNECTIONS ${allowed}`;
}

export function renameSql(from: string, to: string): string {
  return `ALTER DATABASE ${quoteName(from)} RENAME TO ${quoteName(to)}`;
}

/** A database with them cannot be renamed, and they belong to somebody. */
async function assertNoPrepared(session: SqlSession, database: string): Promise<void> {
  const found = await selectRows(
    session,
    `SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = ${quoteLiteral(database)} ORDER BY prepared LIMIT 5`,
    z.object({ gid: z.string() }),
  );
  if (found.length === 0) return;
  throw new HoldfastError("target-in-use", `prepared transactions are waiting in ${database}: ${found.map(({ gid }) => gid).join(", ")}`, {
    hint: "Finish them with COMMIT PREPARED or ROLLBACK PREPARED, then restore again.",
  });
}

/** Renames in one transaction, ending the connections of others for as long as some turn up. */
export async function renameWhenFree(
  session: SqlSession,
  statements: readonly string[],
  databases: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + cutMs;
  for (;;) {
    signal.throwIfAborted();
    await endConnections(session, databases);
    try {
      await runTransaction(session, statements);
      return;
    } catch (error) {
      // 55006: somebody is still, or again, connected.
      if (readState(error) !== "55006") throw error;
      if (performance.now() > deadlineMs) {
        throw new HoldfastError("target-in-use", `connections do not end: ${describeCause(error)}`, {
          cause: error,
          hint: "Stop the programs that use the database; ending connections of others needs a superuser or membership of pg_signal_backend.",
        });
      }
      await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Of those only that we may end: the others may end by themselves, and the rename tells. */
async function endConnections(session: SqlSession, databases: readonly string[]): Promise<void> {
  const names = databases.map(quoteLiteral).join(", ");
  await session.query(
    `SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles me ON me.rolname = current_user
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
     WHERE a.datname IN (${names}) AND a.pid <> pg_catalog.pg_backend_pid() AND (me.rolsuper OR (r.oid IS NOT NULL AND NOT r.rolsuper
       AND (pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER') OR pg_catalog.pg_has_role(r.oid, 'MEMBER'))))`,
  );
}
