import { endProcessGroup } from "../base/process-group.ts";
import type { Task } from "../queue/contract.ts";
import type { Core } from "./core.ts";
import { noteEndedRestores } from "./note-restore.ts";
import { tellOutcome } from "./tell-run.ts";

const killGraceMs = 5_000;

/** After a crash: ends what is left of the former daemon's workers, then gives their keys back. To be called before the first claim. */
export async function recoverTasks(core: Core, signal: AbortSignal): Promise<readonly Task[]> {
  const left = core.queue.recover(core.clock.now());
  for (const task of left) {
    await endProcessGroup(task.worker, task.worker?.marker ?? task.id, killGraceMs, signal);
    const { state } = core.queue.release(task.id);
    core.log.warn(`${task.kind}${task.job === undefined ? "" : ` of job "${task.job}"`} was interrupted: the daemon had died`, {
      task: task.id,
      next: state === "waiting" ? "it starts again" : "it does not start again",
    });
  }
  await noteEndedRestores(core);
  for (const run of core.catalog.runs.interruptAll(core.clock.now())) {
    const task = core.queue.get(run.taskId);
    // What starts again tells its own outcome.
    if (task !== undefined && task.state !== "waiting")
      tellOutcome(core, task, run.id, { state: "interrupted", summary: run.summary, details: {} });
  }
  return left;
}
