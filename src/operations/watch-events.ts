import { isDeepStrictEqual } from "node:util";
import type { Run } from "../catalog/contract.ts";
import type { QueueChange } from "../queue/contract.ts";
import type { Core } from "./core.ts";
import { describeProgress, describeTask, type TaskStatus } from "./read-status.ts";

/** Progress is looked at this often. */
const progressEveryMs = 500;
const heartbeatMs = 10_000;
/** A reader that is so many lines behind is dropped. */
const capacity = 1_000;
/** How far back the run of a task that has just ended is looked for. */
const recentRuns = 50;

export type EventLine = { readonly at: string } & (
  | { readonly type: "hello"; readonly version: string }
  | { readonly type: "heartbeat" }
  | { readonly type: "dropped"; readonly reason: string }
  | { readonly type: "task"; readonly change: QueueChange["type"]; readonly task: TaskStatus | null; readonly job: string | null }
  | { readonly type: "run"; readonly change: "started" | "ended"; readonly run: Run }
  | { readonly type: "progress"; readonly task: string; readonly progress: TaskStatus["progress"] }
);

type Line<Type extends EventLine["type"]> = Omit<Extract<EventLine, { type: Type }>, "at">;

/**
 * Everything that happens in the queue and to runs, until the signal is aborted and what came before is told. What a reader has not
 * taken yet is bounded.
 */
export async function* watchEvents(core: Core, signal: AbortSignal): AsyncGenerator<EventLine, void, undefined> {
  const pending: EventLine[] = [];
  let wake = (): void => undefined;
  const push = (line: Line<"hello"> | Line<"heartbeat"> | Line<"dropped"> | Line<"task"> | Line<"run"> | Line<"progress">): void => {
    if (pending.length > capacity) return;
    pending.push({ at: new Date(core.clock.now()).toISOString(), ...line });
    wake();
  };
  const told = new Map<string, TaskStatus["progress"]>();
  const unsubscribe = core.queue.subscribe((change) => {
    for (const line of describeChange(core, change)) push(line);
    if ("task" in change && change.task.finishedAtMs !== undefined) told.delete(change.task.id);
  });
  const progress = setInterval(() => {
    for (const id of core.live.keys()) {
      const now = describeProgress(core, id);
      if (isDeepStrictEqual(told.get(id), now)) continue;
      told.set(id, now);
      push({ type: "progress", task: id, progress: now });
    }
  }, progressEveryMs);
  const heartbeat = setInterval(() => push({ type: "heartbeat" }), heartbeatMs);
  const stop = (): void => wake();
  signal.addEventListener("abort", stop, { once: true });
  try {
    push({ type: "hello", version: core.version });
    while (!signal.aborted || pending.length > 0) {
      if (pending.length > capacity) {
        yield {
          type: "dropped",
          at: new Date(core.clock.now()).toISOString(),
          reason: `more than ${capacity} lines were waiting to be read`,
        };
        return;
      }
      const line = pending.shift();
      if (line !== undefined) yield line;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    clearInterval(progress);
    clearInterval(heartbeat);
    signal.removeEventListener("abort", stop);
    unsubscribe();
  }
}

function describeChange(core: Core, change: QueueChange): readonly (Line<"task"> | Line<"run">)[] {
  if (!("task" in change)) return [{ type: "task", change: change.type, task: null, job: change.job ?? null }];
  const { task } = change;
  const line: Line<"task"> = {
    type: "task",
    change: change.type,
    task: describeTask(core, task, task.state === "waiting" ? core.queue.explainWaiting(task.id) : undefined),
    job: task.job ?? null,
  };
  const began = change.type === "claimed";
  if (!began && change.type !== "ended" && change.type !== "retrying") return [line];
  // Runs are written before the queue's change is announced; a task that was cancelled while it waited has none.
  const run = core.catalog.runs.list({ limit: recentRuns }).find(({ taskId }) => taskId === task.id);
  return run === undefined ? [line] : [line, { type: "run", change: began ? "started" : "ended", run }];
}
