import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Check, CommandCheck, HttpCheck, SqlCheck } from "../config/config.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { redactText } from "../telemetry/redact.ts";
import { describeCheck } from "./describe-hook.ts";
import { runHook } from "./run-hook.ts";
import { openStagingDirectory } from "./staging.ts";
import { describeDuration } from "../base/parse-duration.ts";

const retryEveryMs = 500;

/** A datastore that checks ask something of, as the config has it. */
export interface QueriedDatastore {
  readonly name: string;
  readonly kind: string;
  readonly options: unknown;
}

/** What checks need of their surroundings. */
interface CheckSetup {
  readonly queried?: readonly QueriedDatastore[];
  readonly stagingDir: string;
}

/**
 * Asks whether the application is well after a restore; an application that is still starting is asked again for a while.
 * @throws check-failed with the last answer
 */
export async function runCheck(check: Check, setup: CheckSetup, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + check.retryForMs;
  for (;;) {
    try {
      await runOnce(check, setup, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() + retryEveryMs > untilMs) throw describeFailure(check, error);
    }
    await delay(retryEveryMs, undefined, { signal });
  }
}

function runOnce(check: Check, setup: CheckSetup, signal: AbortSignal): Promise<void> {
  switch (check.kind) {
    case "http":
      return askOnce(check, signal);
    case "sql":
      return queryOnce(check, setup, signal);
    case "command":
      return commandOnce(check, signal);
  }
}

function describeFailure(check: Check, error: unknown): HoldfastError {
  return new HoldfastError("check-failed", `The health check ${describeCheck(check)} failed: ${redactText(describeCause(error))}`, {
    cause: error,
    hint:
      check.kind === "sql"
        ? "Ask the same of the datastore by hand; correct what the check expects, or restore with --keep to keep the data all the same."
        : "Look into the application's own log; raise `retryFor` if it only needs longer to start.",
  });
}

async function askOnce(check: HttpCheck, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(check.timeoutMs)]);
  const response = await fetch(check.http, { signal: limit, redirect: "manual" }).catch((error: unknown) => {
    throw new HoldfastError(
      "check-failed",
      error instanceof Error && error.cause instanceof Error ? error.cause.message : describeCause(error),
    );
  });
  const body = await response.text();
  if (response.status !== check.status)
    throw new HoldfastError("check-failed", `it answered ${response.status} instead of ${check.status}`);
  if (check.contains !== undefined && !body.includes(check.contains))
    throw new HoldfastError("check-failed", `its answer does not contain "${check.contains}"`);
}

async function commandOnce(check: CommandCheck, signal: AbortSignal): Promise<void> {
  const output = await runHook(check, "check", signal);
  if (check.contains !== undefined && !output.includes(check.contains))
    throw new HoldfastError("check-failed", `its output does not contain "${check.contains}"`);
}

async function queryOnce(check: SqlCheck, setup: CheckSetup, signal: AbortSignal): Promise<void> {
  const value = await askDatastore(check, setup, signal);
  const expectation = describeUnmet(check, value);
  if (expectation !== undefined)
    throw new HoldfastError("check-failed", `it gave ${value === null ? "nothing" : JSON.stringify(value)} instead of ${expectation}`);
}

/** Asks once, whatever the answer should be. */
export async function askDatastore(check: SqlCheck, { queried = [], stagingDir }: CheckSetup, signal: AbortSignal): Promise<string | null> {
  const datastore = queried.find(({ name }) => name === check.datastore);
  if (datastore === undefined) {
    throw new HoldfastError("config-invalid", `there is no datastore "${check.datastore}" to ask`, {
      hint: "Correct the `datastore` of the check.",
    });
  }
  const { name, kind, options } = datastore;
  await using staging = await openStagingDirectory(stagingDir, `${name}-check`);
  const context = { name, stagingDir: staging.path, progress: () => undefined };
  await using opened = await findDatastoreDriver(kind).configure(options).open(context);
  const timeLimit = AbortSignal.timeout(check.timeoutMs);
  const value = await opened.query?.(check.sql, AbortSignal.any([signal, timeLimit])).catch((error: unknown) => {
    if (timeLimit.aborted && !signal.aborted)
      throw new HoldfastError("timeout", `it gave no answer within ${describeDuration(check.timeoutMs)}`);
    throw error;
  });
  if (value === undefined) throw new HoldfastError("config-invalid", `"${name}" cannot be asked: it is of kind ${kind}`);
  return value;
}

/** What was expected instead; undefined when the value is as expected. */
export function describeUnmet({ equals, atLeast, atMost }: SqlCheck, value: string | null): string | undefined {
  const amount = value === null || value.trim() === "" ? Number.NaN : Number(value);
  if (equals !== undefined) return value !== null && isEqual(equals, value, amount) ? undefined : JSON.stringify(equals);
  if (atLeast !== undefined) return amount >= atLeast ? undefined : `${atLeast} or more`;
  if (atMost !== undefined) return amount <= atMost ? undefined : `${atMost} or less`;
  const isNothing = value === null || /^(f|false)$/i.test(value) || amount === 0;
  return isNothing ? "a row whose first column is not null, false or 0" : undefined;
}

function isEqual(expected: string | number | boolean, value: string, amount: number): boolean {
  if (typeof expected === "number") return amount === expected;
  // PostgreSQL writes t and f, SQLite 1 and 0.
  if (typeof expected === "boolean") return (expected ? /^(t|true|1)$/i : /^(f|false|0)$/i).test(value);
  return value === expected;
}
