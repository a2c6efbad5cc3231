import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Check, HttpCheck } from "../config/config.ts";
import { runHook } from "./run-hook.ts";

const retryEveryMs = 500;

/**
 * Asks whether the application is well after a restore; an application that is still starting is asked again for a while.
 * @throws check-failed with the last answer
 */
export async function runCheck(check: Check, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + check.retryForMs;
  for (;;) {
    try {
      if (check.kind === "http") await askOnce(check, signal);
      else await runHook(check, "check", signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() + retryEveryMs > untilMs) throw describeFailure(check, error);
    }
    await delay(retryEveryMs, undefined, { signal });
  }
}

function describeFailure(check: Check, error: unknown): HoldfastError {
  const what = check.kind === "http" ? check.http : check.command.join(" ");
  return new HoldfastError("check-failed", `The health check ${what} failed: ${describeCause(error)}`, {
    cause: error,
    hint: "Look into the application's own log; raise `retryFor` if it only needs longer to start.",
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
