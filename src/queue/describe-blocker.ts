import { formatInstant } from "../base/clock.ts";
import type { Blocker } from "./choose-next.ts";
import type { Task } from "./contract.ts";

/** Why a task waits, as `holdfast runs` shows it. */
export function describeBlocker(blocker: Blocker<Task, Task> | undefined, nowMs: number, concurrency: number): string {
  switch (blocker?.reason) {
    case undefined:
      return "about to start";
    case "paused":
      return blocker.job === undefined ? "waiting because everything is paused" : `waiting because job ${blocker.job} is paused`;
    case "not-before":
      return `waiting, not before ${formatInstant(blocker.atMs)}`;
    case "held":
      return `waiting because ${describeTask(blocker.by)} (${describeActivity(blocker.by, nowMs)}) holds ${blocker.key.id}`;
    case "reserved":
      return `waiting because ${describeTask(blocker.by)} is ahead of it and has reserved ${blocker.key.id}`;
    case "slots":
      return `waiting because all ${concurrency} slots are taken`;
  }
}

function describeTask(task: Task): string {
  return `${task.kind} ${task.id}${task.job === undefined ? "" : ` of job ${task.job}`}`;
}

function describeActivity(task: Task, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - (task.claimedAtMs ?? nowMs)) / 1_000));
  const length = seconds < 120 ? `${seconds} s` : seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
  return task.state === "recovering" ? "interrupted, its processes are being ended" : `running ${length}`;
}
