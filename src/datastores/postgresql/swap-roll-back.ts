import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { dropSubscriptions } from "./restore-replication.ts";
import { resolveServer } from "./restore-server.ts";
import { lockSql, openMaintenance, selectRows, type Server } from "./restore-sql.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import { allowSql, renameSql, renameWhenFree } from "./swap-database.ts";
import { parseStep, type BlockStep, type PostgresqlStep, type SwapDatabaseStep } from "./swap-steps.ts";
import { dropAsideTables, undoTables } from "./swap-tables.ts";

/** Undoes a restore by its steps. Idempotent. @throws restore-stuck where nothing is known of the connection any more */
export async function rollBackRestore(
  steps: readonly SwapStep[],
  signal: AbortSignal,
  options: PostgresqlOptions | undefined,
): Promise<void> {
  await followSteps(steps, options, rollBackSwap, "Cannot roll back the restore", signal);
}

/** Removes what a finished restore put aside. Idempotent. */
export async function settleRestore(
  steps: readonly SwapStep[],
  signal: AbortSignal,
  options: PostgresqlOptions | undefined,
): Promise<void> {
  await followSteps(steps, options, settleSwap, "Cannot remove what the restore put aside", signal);
}

async function followSteps(
  steps: readonly SwapStep[],
  options: PostgresqlOptions | undefined,
  act: (server: Server, known: readonly PostgresqlStep[], signal: AbortSignal) => Promise<void>,
  problem: string,
  signal: AbortSignal,
): Promise<void> {
  const known = steps.map(parseStep);
  if (known.length === 0) return;
  try {
    await act(await findServer(known, options, signal), known, signal);
  } catch (error) {
    throw explainFailure(problem, error);
  }
}

/** Steps hold no secrets: how to connect is only known from the config. */
async function findServer(steps: readonly PostgresqlStep[], options: PostgresqlOptions | undefined, signal: AbortSignal): Promise<Server> {
  if (options !== undefined) return { ...(await resolveServer(options, signal)), waitForMs: options.waitFor ?? defaults.waitForMs };
  const places = steps.flatMap((step) => {
    if (step.op === "swap") return [`${step.database} was, or is, ${step.aside}`];
    return step.op === "tables" ? [`rows of ${step.database} are in its schema ${step.schema}`] : [];
  });
  throw new HoldfastError(
    "restore-stuck",
    `the config no longer says how to connect to the server${places.length === 0 ? "" : `: ${places.join("; ")}`}`,
    {
      hint: "Put the datastore back into the config and restart the daemon; by hand: ALTER DATABASE … RENAME TO …, as the steps in the journal say.",
    },
  );
}

/**
 * Undoes a swap, last step first. Each step may or may not have happened, and may have been undone already: which database has which name
 * now decides, by oid. @throws restore-stuck when something else has taken a name that is needed
 */
async function rollBackSwap(server: Server, known: readonly PostgresqlStep[], signal: AbortSignal): Promise<void> {
  for (const step of known.toReversed()) {
    if (step.op === "tables") {
      await undoTables(server, step, signal);
      continue;
    }
    await using session = await openBeside(server, step.database, signal);
    if (step.op === "create") {
      await session.query(lockSql(step.database));
      await dropDatabase(server, session, step.database, signal);
    } else if (step.op === "block") await undoBlock(session, step);
    else await undoSwap(session, step, signal);
  }
}

async function settleSwap(server: Server, known: readonly PostgresqlStep[], signal: AbortSignal): Promise<void> {
  for (const step of known) if (step.op === "swap") await requireSwapped(server, step, signal);
  for (const step of known) {
    if (step.op === "tables") await dropAsideTables(server, step, signal);
    if (step.op !== "create" && step.op !== "swap") continue;
    const name = step.op === "create" ? step.database : step.aside;
    await using session = await openMaintenance(server, [name], signal);
    if (step.op === "create" || (step.oid !== null && (await findName(session, step.oid)) === name))
      await dropDatabase(server, session, name, signal);
  }
}

/** What is to be removed is the former database only as long as the restored one is in its place. @throws restore-stuck */
async function requireSwapped(server: Server, { staged, stagedOid, database }: SwapDatabaseStep, signal: AbortSignal): Promise<void> {
  if (staged === null || stagedOid === null) return;
  await using session = await openBeside(server, database, signal);
  if ((await findName(session, stagedOid)) !== staged) return;
  throw new HoldfastError("restore-stuck", `${database} is not the restored database: that is still called ${staged}`, {
    hint: `The server has lost what it had committed (is fsync off?). Drop ${quoteName(staged)}, remove the restore's journal, then restore again.`,
  });
}

/**
 * A session with another database, which several restored at once may all be: then it depends on the step. Where the other one is closed,
 * by a later step's roll-back that was interrupted, this step has nothing to rename any more, and can look at it from its own database.
 */
async function openBeside(server: Server, database: string, signal: AbortSignal): Promise<SqlSession> {
  try {
    return await openMaintenance(server, [database], signal);
  } catch (error) {
    if (signal.aborted) throw error;
    return await openMaintenance(server, [], signal).catch(() => {
      throw error;
    });
  }
}

async function undoBlock(session: SqlSession, { oid }: BlockStep): Promise<void> {
  const name = await findName(session, oid);
  if (name !== undefined) await session.query(allowSql(name, "true"));
}

async function undoSwap(session: SqlSession, step: SwapDatabaseStep, signal: AbortSignal): Promise<void> {
  const { database, aside, oid, staged, stagedOid } = step;
  await session.query(lockSql(aside));
  const present = await findOid(session, database);
  const isRestored = present !== undefined && present === stagedOid;
  const isAside = oid !== null && (await findName(session, oid)) === aside;
  if (present !== undefined && !isRestored && present !== oid && isAside) {
    throw new HoldfastError("restore-stuck", `another program has created the database ${database}; what was there before is ${aside}`, {
      hint: `Rename or drop ${quoteName(database)}, then repeat the rollback.`,
    });
  }
  if (isRestored && oid !== null && !isAside) {
    throw new HoldfastError("restore-stuck", `${database} holds the restored data, and what was there before, ${aside}, is gone`, {
      hint: "Restore the pre-restore backup, which has the former data; then remove the restore's journal.",
    });
  }
  const statements = [
    // Who connects to it now would lose what they write.
    ...(isRestored && staged !== null ? [renameSql(database, staged), allowSql(staged, "false")] : []),
    ...(isAside ? [renameSql(aside, database)] : []),
  ];
  if (statements.length === 0) return;
  if (isRestored) await session.query(allowSql(database, "false"));
  await renameWhenFree(session, statements, [database, aside], signal);
}

export async function dropDatabase(server: Server, session: SqlSession, name: string, signal: AbortSignal): Promise<void> {
  const sql = `SELECT datistemplate AS template FROM pg_catalog.pg_database WHERE datname = ${quoteLiteral(name)}`;
  const [found] = await selectRows(session, sql, z.object({ template: z.boolean() }));
  if (found?.template === true) await session.query(`ALTER DATABASE ${quoteName(name)} WITH IS_TEMPLATE false`);
  await dropSubscriptions(server, session, name, signal);
  await session.query(`DROP DATABASE IF EXISTS ${quoteName(name)} WITH (FORCE)`);
}

async function findName(session: SqlSession, oid: string): Promise<string | undefined> {
  const sql = `SELECT datname AS name FROM pg_catalog.pg_database WHERE oid = ${quoteLiteral(oid)}::oid`;
  return (await selectRows(session, sql, z.object({ name: z.string() })))[0]?.name;
}

export async function findOid(session: SqlSession, name: string): Promise<string | undefined> {
  const sql = `SELECT oid::text AS oid FROM pg_catalog.pg_database WHERE datname = ${quoteLiteral(name)}`;
  return (await selectRows(session, sql, z.object({ oid: z.string() })))[0]?.oid;
}
