import { createTask } from "node-cron";

const longestMs = 1_000;

/**
 * Calls `tick` each second, never twice at the same time, until it is closed. node-cron says when the next second is and calls; the timer
 * is ours and never waits longer than a second, because node-cron's own stands still after the clock was set back until it has come
 * there again, and goes through every second that a clock that was set ahead has left out.
 */
export function openTicker(tick: () => Promise<void>): Disposable {
  const task = createTask("* * * * * *", tick, { name: "holdfast-tick" });
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const wait = (): void => {
    const nowMs = Date.now();
    const nextMs = task.getNextRuns(1)[0]?.getTime() ?? nowMs + longestMs;
    timer = setTimeout(run, Math.min(Math.max(nextMs - nowMs, 1), longestMs));
  };
  const run = (): void => {
    const goOn = (): void => {
      if (!closed) wait();
    };
    task.execute().then(goOn, goOn);
  };
  wait();
  return {
    [Symbol.dispose]() {
      closed = true;
      clearTimeout(timer);
      void task.destroy();
    },
  };
}
