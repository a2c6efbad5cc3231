import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { TaskPorts } from "../setup.ts";
import { lockHold, readHold, removeHold } from "./hold-record.ts";

/** A guard that has just been left alone stops and starts a large server first. */
const waitMs = 25 * 60_000;
const everyMs = 250;

/**
 * Keeps everybody from starting what a restore is about to stop: a guard whose service does not start tries again and again, and one day it
 * would succeed in the middle of a swap. What was to be started is the restore's to start then.
 * @returns ends that
 * @throws busy
 */
export async function takeOverHolds(
  directory: string,
  ids: readonly string[],
  ports: Pick<TaskPorts, "log" | "progress">,
  signal: AbortSignal,
): Promise<Disposable> {
  using locks = new DisposableStack();
  for (const id of ids) locks.use(await takeOver(directory, id, ports, signal));
  return locks.move();
}

async function takeOver(
  directory: string,
  id: string,
  ports: Pick<TaskPorts, "log" | "progress">,
  signal: AbortSignal,
): Promise<Disposable> {
  for (const untilMs = performance.now() + waitMs; performance.now() < untilMs;) {
    const lock = await lockHold(directory, id, signal);
    const record = readHold(directory, id);
    // Without a problem whoever has it is about to let it go.
    if (record !== undefined && (lock !== undefined || record.problem !== undefined)) {
      ports.log("warn", `${record.what}, left from a backup: the restore sees to its start`);
      await removeHold(directory, id);
    }
    if (lock !== undefined) return lock;
    ports.progress({ phase: "waiting for a server that is being started" });
    await delay(everyMs, undefined, { signal });
  }
  throw new HoldfastError("busy", "A server that the restore has to stop is held by a backup for too long", {
    hint: "`holdfast status` says what stands still, and why.",
  });
}
