import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
import { resolveAccess, selectDatabase } from "./connection.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { findPsql } from "./server-facts.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";
import { bringBack, dropKept } from "./sqlite-swap.ts";

/** Rows of tables of `database` were replaced in one transaction, or were about to be; the old ones are in `schema`, if it is there. */
export type ImportStep = { readonly op: "import"; readonly database: string; readonly schema: string };

export function isImportStep(step: SwapStep): step is ImportStep {
  return step["op"] === "import" && typeof step["database"] === "string" && typeof step["schema"] === "string";
}

/** Brings back the rows that a restore from a SQLite export has replaced. Idempotent. */
export async function rollBackImport(
  steps: readonly SwapStep[],
  signal: AbortSignal,
  options: PostgresqlOptions | undefined,
): Promise<void> {
  for (const step of steps.filter(isImportStep).toReversed()) {
    try {
      await using session = await openStep(step, options, signal);
      await bringBack(session, step.schema, options?.lockTimeout ?? defaults.lockTimeoutMs);
    } catch (error) {
      throw explainFailure(`Cannot bring back the rows of database "${step.database}", which are kept in its schema ${step.schema}`, error);
    }
  }
}

/** Removes the rows that were kept. Idempotent. */
export async function settleImport(steps: readonly SwapStep[], signal: AbortSignal, options: PostgresqlOptions | undefined): Promise<void> {
  for (const step of steps.filter(isImportStep)) {
    try {
      await using session = await openStep(step, options, signal);
      await dropKept(session, step.schema);
    } catch (error) {
      // With its database it is gone as well.
      if (error instanceof HoldfastError && error.code === "source-missing") continue;
      throw explainFailure(`Cannot remove schema ${step.schema} of database "${step.database}"`, error);
    }
  }
}

async function openStep(step: ImportStep, options: PostgresqlOptions | undefined, signal: AbortSignal): Promise<SqlSession> {
  if (options === undefined) {
    throw new HoldfastError("config-invalid", "the datastore is not in the config any more, which says how to connect", {
      hint: "Put it back into the config, then start Holdfast again.",
    });
  }
  const access = selectDatabase(await resolveAccess(options, "restore", signal), step.database);
  const waitForMs = options.waitFor ?? defaults.waitForMs;
  return await openSession(access, { psql: await findPsql(options, signal), waitForMs }, signal);
}
