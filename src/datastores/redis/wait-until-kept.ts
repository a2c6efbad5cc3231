import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { readInfo, readSetting, type Info } from "./server-facts.ts";

const pollMs = 20;

/** What the server has taken over is on its disk when this returns, as far as it keeps its data there. */
export async function waitUntilKept(target: RedisConnection, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const limitMs = performance.now() + timeoutMs;
  const hasSaves = ((await readSetting(target, "save").catch(() => "")) ?? "") !== "";
  let asked = false;
  for (;;) {
    const info = await readInfo(target, "persistence");
    if (performance.now() > limitMs)
      throw new HoldfastError("timeout", `the server at ${target.where} did not write the restored data to its disk in time`);
    const step = hasChild(info) ? "wait" : chooseStep(info, { hasSaves, asked });
    if (step === "kept") return;
    if (step === "unkept") throw createUnkeptError(target, info);
    if (step === "wait") await wait(signal);
    else asked = await askFor(step, target);
  }
}

type Step = "kept" | "unkept" | "wait" | "BGSAVE" | "BGREWRITEAOF";

/**
 * A server whose rewrite has failed schedules the next one, after a minute and then after ever more, for as long as its disk stays full; and
 * what it says of its last rewrite may be older than the restore. So it is made to rewrite now, once, and that decides.
 */
function chooseStep(info: Info, { hasSaves, asked }: { readonly hasSaves: boolean; readonly asked: boolean }): Step {
  if (info.get("aof_enabled") === "1") {
    if (info.get("aof_last_bgrewrite_status") === "ok") return info.get("aof_rewrite_scheduled") === "1" ? "wait" : "kept";
    return asked ? "unkept" : "BGREWRITEAOF";
  }
  if (!hasSaves) return "kept";
  if (!asked) return "BGSAVE";
  return info.get("rdb_last_bgsave_status") === "ok" ? "kept" : "unkept";
}

function hasChild(info: Info): boolean {
  return ["rdb_bgsave_in_progress", "aof_rewrite_in_progress"].some((name) => info.get(name) === "1");
}

/** Whether it is at it; another child may have started since, after which it is to be asked again. A rewrite that it refuses has failed. */
async function askFor(step: "BGSAVE" | "BGREWRITEAOF", target: RedisConnection): Promise<boolean> {
  if (step === "BGSAVE") {
    await target.call(step);
    return true;
  }
  const answer = await target.call(step).catch((error: unknown) => {
    if (!(error instanceof HoldfastError) || error.code === "tool-failed") return describeCause(error);
    throw error;
  });
  return !/scheduled|in progress/i.test(String(answer));
}

function createUnkeptError({ where }: RedisConnection, info: Info): HoldfastError {
  const what = info.get("aof_enabled") === "1" ? "write its append-only file" : "save its data";
  return new HoldfastError("restore-failed", `the server at ${where} cannot ${what}; its log says why`, {
    hint: "Usual reasons: its disk is full, or it may not fork (vm.overcommit_memory, a memory limit).",
  });
}

async function wait(signal: AbortSignal): Promise<void> {
  await delay(pollMs, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) throw createAbortError(signal, "the restore was given up");
}
