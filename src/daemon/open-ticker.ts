import { createTask } from "node-cron";

/** Every ten seconds, on the ten. */
const pattern = "*/10 * * * * *";
const longestMs = 10_000;

/**
 * Calls `tick` every ten seconds and when something is due, never twice at the same time, until it is closed. node-cron says when the next
 * ten seconds are over and calls; the timer is ours and never waits longer, because node-cron's own stands still after the clock was
 * set back until it has come there again, and goes through every tick that a clock that was set ahead has left out.
 * @param findDueMs the next instant of the wall clock at which something is due
 */
export function openTicker(tick: () => Promise<void>, findDueMs: () => number): Disposable {
  const task = createTask(pattern, tick, { name: "holdfast-tick" });
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const wait = (): void => {
    if (closed) return;
    const nowMs = Date.now();
    const nextMs = Math.min(task.getNextRuns(1)[0]?.getTime() ?? Infinity, findDueMs());
    timer = setTimeout(run, Math.min(Math.max(nextMs - nowMs, 1), longestMs));
  };
  const run = (): void => void task.execute().then(wait, wait);
  wait();
  return {
    [Symbol.dispose]() {
      closed = true;
      clearTimeout(timer);
      void task.destroy();
    },
  };
}
