import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { streamProgram } from "../../base/subprocess.ts";
import type { DriverContext } from "../contract.ts";
import { explainStagingFault } from "../trees/explain-fault.ts";
import type { Access } from "./connection.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import type { DumpPlan, PlannedEntry } from "./plan-dump.ts";
import { quoteName } from "./quote-sql.ts";
import { selectRows } from "./restore-sql.ts";
import { findPsql } from "./server-facts.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";

/** What one entry of a plan is to hold. */
export type FixedEntry = FixedDatabase | { readonly kind: "file"; readonly path: string; readonly bytes: number };

/** A transaction that keeps a state of one database, which pg_dump is told the name of. Closing ends it. */
interface FixedDatabase extends AsyncDisposable {
  readonly kind: "database";
  readonly snapshot: string;
}

/**
 * Fixes what each entry of the plan is to hold. Tables are locked against what a transaction does not keep: TRUNCATE and rewrites take
 * their old rows away from everybody. Definitions of roles, which no snapshot holds, are copied.
 * @param signal ends what is fixed when it is aborted
 */
export async function fixEntries(
  options: PostgresqlOptions,
  plan: DumpPlan,
  { context, resources }: { readonly context: DriverContext; readonly resources: AsyncDisposableStack },
  signal: AbortSignal,
): Promise<ReadonlyMap<PlannedEntry, FixedEntry>> {
  const fixed = new Map<PlannedEntry, FixedEntry>();
  const psql = await findPsql(options, signal);
  for (const entry of plan.entries) {
    const { database } = entry;
    if (database === undefined) {
      const path = join(context.stagingDir, `fixed-${fixed.size}`);
      resources.defer(() => rm(path, { force: true }));
      fixed.set(entry, await copyEntry(entry, path, signal));
    } else fixed.set(entry, resources.use(await fixDatabase(options, database, psql, signal)));
  }
  return fixed;
}

async function copyEntry(entry: PlannedEntry, path: string, signal: AbortSignal): Promise<FixedEntry> {
  const { program, args, options } = entry.prepare();
  const fail = (error: unknown): never => {
    throw explainStagingFault(error, path);
  };
  await using file = await open(path, "wx", 0o600).catch(fail);
  for await (const piece of streamProgram(program, args, options, signal)) await file.writeFile(piece).catch(fail);
  return { kind: "file", path, bytes: (await stat(path)).size };
}

const snapshotRow = z.object({ snapshot: z.string() });

async function fixDatabase(options: PostgresqlOptions, access: Access, psql: string, signal: AbortSignal): Promise<FixedDatabase> {
  await using resources = new AsyncDisposableStack();
  const session = resources.use(await openSession(access, { psql, waitForMs: options.waitFor ?? defaults.waitForMs }, signal));
  await session.query(`SET lock_timeout = ${options.lockTimeout ?? defaults.lockTimeoutMs}`);
  // Servers before 17 do not have it; it would end the snapshot before the dump has read it.
  await session.query("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'");
  await session.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  const [found] = await selectRows(session, "SELECT pg_catalog.pg_export_snapshot() AS snapshot", snapshotRow);
  await lockTables(session);
  const held = resources.move();
  return { kind: "database", snapshot: found?.snapshot ?? "", [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const tableRow = z.object({ schema: z.string(), table: z.string() });
const lockedAtOnce = 100;

/** Those that we may read: of the others pg_dump tells. */
async function lockTables(session: SqlSession): Promise<void> {
  const tables = await selectRows(
    session,
    `SELECT n.nspname AS schema, c.relname AS "table" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') ORDER BY c.oid`,
    tableRow,
  );
  for (let at = 0; at < tables.length; at += lockedAtOnce) {
    const names = tables.slice(at, at + lockedAtOnce).map(({ schema, table }) => `ONLY ${quoteName(schema)}.${quoteName(table)}`);
    await session.query(`LOCK TABLE ${names.join(", ")} IN ACCESS SHARE MODE`);
  }
}
