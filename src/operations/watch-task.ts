import type { ErrorReport } from "../base/errors.ts";
import type { JsonValue, Task } from "../queue/contract.ts";
import type { Core } from "./core.ts";
import { describeTask, type TaskStatus } from "./read-status.ts";
import { createUnknownTask } from "../queue/unknown-task.ts";

/** Progress is told this often while nothing else changes. */
const everyMs = 500;

/** The last line of a watched task. */
export interface TaskEnd {
  readonly ended: true;
  readonly id: string;
  readonly state: string;
  readonly result: JsonValue;
  readonly error: ErrorReport | null;
}

export type TaskLine = (TaskStatus & { readonly ended: false }) | TaskEnd;

const finalStates: ReadonlySet<Task["state"]> = new Set(["done", "failed", "cancelled", "interrupted"]);

/**
 * A task's progress, line by line, until it is final. Ending the iteration or aborting stops the watching, not the task; an end that has
 * come by then is still told.
 */
export async function* watchTask(core: Core, id: string, signal: AbortSignal): AsyncGenerator<TaskLine, void, undefined> {
  let wake = (): void => undefined;
  const unsubscribe = core.queue.subscribe((change) => {
    if ("task" in change && change.task.id === id) wake();
  });
  try {
    for (let last = ""; ;) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const task = core.queue.get(id);
      if (task === undefined) throw createUnknownTask(id);
      if (finalStates.has(task.state)) {
        yield { ended: true, id, state: task.state, result: task.result ?? null, error: task.error ?? null };
        return;
      }
      if (signal.aborted) return;
      const line = { ended: false as const, ...describeTask(core, task, core.queue.explainWaiting(task.id)) };
      const text = JSON.stringify(line);
      if (text !== last) yield line;
      last = text;
      await waitFor(changed, signal);
    }
  } finally {
    unsubscribe();
  }
}

async function waitFor(changed: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  let stop = (): void => undefined;
  const pause = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, everyMs);
    stop = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", stop, { once: true });
  });
  await Promise.race([changed, pause]);
  signal.removeEventListener("abort", stop);
  stop();
}
