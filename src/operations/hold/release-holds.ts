import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { Hook } from "../../config/config.ts";
import { fillHook } from "../fill-hooks.ts";
import { runHook } from "../run-hook.ts";
import type { TaskPorts } from "../setup.ts";
import { askState } from "./ask-state.ts";
import { lockHold, readHold, removeHold, writeHold, type HoldRecord } from "./hold-record.ts";
import { letGo } from "./let-go.ts";

/** Hooks as the config has them now, for their variables. */
export interface KnownHooks {
  readonly known: readonly Hook[];
}

/**
 * Lets go what is on record and has no guard any more. Does nothing when there is no record, or when somebody sees to it already.
 * @returns whether there was something to do
 * @throws hook-failed; then the record stays, and says why
 */
export async function releaseHold(
  directory: string,
  id: string,
  { known }: KnownHooks,
  ports: Pick<TaskPorts, "log">,
  signal: AbortSignal,
): Promise<"released" | "nothing"> {
  if (readHold(directory, id) === undefined) return "nothing";
  using lock = await lockHold(directory, id, signal);
  if (lock === undefined) return "nothing";
  const record = readHold(directory, id);
  if (record === undefined) return "nothing";
  await releaseRecord(directory, record, { known }, ports, signal);
  return "released";
}

/** The same with the lock in hand. */
export async function releaseRecord(
  directory: string,
  record: HoldRecord,
  { known }: KnownHooks,
  ports: Pick<TaskPorts, "log">,
  signal: AbortSignal,
): Promise<void> {
  const fill = <Filled extends Hook>(hook: Filled): Filled => fillHook(hook, known, (message) => ports.log("warn", message));
  ports.log("warn", `${record.what}, and whoever did that is gone: it is let go on`);
  try {
    // What makes it stand still may be running yet: the same again ends after it.
    if (record.state === "engaging") for (const hook of record.engage) await runHook(fill(hook), "stop", signal).catch(() => undefined);
    const doubt = record.state === "engaging" ? "engaging" : "none";
    const ask = record.ask === undefined ? {} : { ask: fill(record.ask) };
    const held = { ...record, ...ask, release: record.release.map((hook) => fill(hook)) };
    if (doubt === "engaging" || !(await goesOn(held, signal))) await letGo(held, doubt, signal);
  } catch (error) {
    await writeHold(directory, { ...record, problem: describeCause(error) }).catch(() => undefined);
    throw new HoldfastError("hook-failed", `${record.what}, and it cannot be let go on: ${describeCause(error)}`, {
      cause: error,
      hint: "Start it by hand; Holdfast tries again by itself, and at once with `holdfast reload`.",
    });
  }
  await removeHold(directory, record.id);
  ports.log("info", `${record.what} no more: it goes on`);
}

/** Whether somebody let it go already, a boot for instance. Where that cannot be told it does not. */
async function goesOn({ ask, manner, release }: Pick<HoldRecord, "ask" | "manner" | "release">, signal: AbortSignal): Promise<boolean> {
  // Of several hooks others may not have been run; and an exit status does not tell a server that is frozen from one that runs.
  if (ask === undefined || release.length > 1 || (ask.answer === "status" && manner === "paused")) return false;
  return (await askState(ask, signal).catch(() => "changing")) === "running";
}
