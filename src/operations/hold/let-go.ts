import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { Hook } from "../../config/config.ts";
import { runHook } from "../run-hook.ts";
import { askSettledState } from "./ask-state.ts";
import type { HoldRecord } from "./hold-record.ts";

/** How often a hook is tried in one round, and the first pause between. */
const tries = 3;
const pauseMs = 500;
/** A server may be starting for so long. */
const settleMs = 60_000;
/** A server that dies at once is asked a little later. */
const confirmMs = 1_000;
/** A stop that was cut off may still come to its end for so long. */
const doubtMs = 12_000;

/** Whether hooks that make it stand still may still be at work, although nobody waits for them. */
export type Doubt = "none" | "engaging";

/**
 * Lets something go on: runs each hook whatever the others did, tries again what failed, and where it can be asked sees that it runs.
 * Idempotent.
 * @throws hook-failed
 */
export async function letGo(held: Pick<HoldRecord, "release" | "ask" | "manner">, doubt: Doubt, signal: AbortSignal): Promise<void> {
  const { ask } = held;
  if (ask === undefined || doubt === "none") return await letGoOnce(held, signal);
  const tryOnce = async (): Promise<PromiseSettledResult<void>> => (await Promise.allSettled([letGoOnce(held, signal)]))[0];
  // What stops it may overtake what starts it; until that has ended no failure is the last word.
  let last = await tryOnce();
  for (const untilMs = performance.now() + doubtMs; performance.now() < untilMs;) {
    await delay(confirmMs, undefined, { signal });
    if (last.status === "rejected" || (await askSettledState(ask, settleMs, signal)) !== "running") last = await tryOnce();
  }
  if (last.status === "rejected") throw last.reason;
}

async function letGoOnce({ release, ask, manner }: Pick<HoldRecord, "release" | "ask" | "manner">, signal: AbortSignal): Promise<void> {
  const failures: unknown[] = [];
  for (const hook of release) await runPatiently(hook, signal).catch((error: unknown) => failures.push(error));
  signal.throwIfAborted();
  if (ask !== undefined) {
    let state = await askSettledState(ask, settleMs, signal);
    if (state === "running" && manner === "stopped") {
      await delay(confirmMs, undefined, { signal });
      state = await askSettledState(ask, settleMs, signal);
    }
    // The only hook there is may fail because nothing is left to do.
    if (state === "running" && release.length === 1) return;
    if (state !== "running" && failures.length === 0)
      failures.push(new HoldfastError("hook-failed", `its start commands succeeded, but it is ${state}`));
  }
  if (failures.length === 0) return;
  throw new HoldfastError("hook-failed", failures.map(describeCause).join("; "), {
    cause: failures[0],
    hint: "Start it by hand, and look into its own log for why it did not start.",
  });
}

async function runPatiently(hook: Hook, signal: AbortSignal): Promise<void> {
  for (let round = 1; ; round += 1) {
    try {
      await runHook(hook, "start", signal);
      return;
    } catch (error) {
      if (round === tries || signal.aborted) throw error;
    }
    await delay(pauseMs * 2 ** (round - 1), undefined, { signal });
  }
}
