import { HoldfastError, reportError } from "../base/errors.ts";
import { raisePriority } from "./choose-next.ts";
import type { Attempt, EnqueueRequest, Task, TaskOutcome, WorkerRecord } from "./contract.ts";

const defaultBackoffMs = 30_000;
const backoffCapMs = 3_600_000;
/** A task that keeps taking the daemon down with it is not started for ever. */
const maxInterruptions = 3;

/** The pure steps of a task's life, as TaskState describes it. A step that does not fit throws `conflict`. */

export function createTask(request: EnqueueRequest, id: string, nowMs: number): Omit<Task, "sequence"> {
  return {
    id,
    kind: request.kind,
    ...(request.job === undefined ? {} : { job: request.job }),
    payload: request.payload,
    keys: request.keys,
    priority: request.priority,
    state: "waiting",
    attempt: 1,
    maxAttempts: request.maxAttempts ?? 1,
    failures: 0,
    interruptions: 0,
    backoffMs: request.backoffMs ?? defaultBackoffMs,
    onInterrupt: request.onInterrupt ?? "record",
    notBeforeMs: request.notBeforeMs ?? 0,
    notBeforeSetAtMs: nowMs,
    ...(request.deadlineMs === undefined ? {} : { deadlineMs: request.deadlineMs }),
    enqueuedAtMs: nowMs,
    ...(request.coalesceKey === undefined ? {} : { coalesceKey: request.coalesceKey }),
    requesters: [{ name: request.requester, requestedAtMs: nowMs }],
  };
}

/** One more requester: the earlier start and the higher priority of both. */
export function joinTask(task: Task, request: EnqueueRequest, nowMs: number): Task {
  const wantedMs = request.notBeforeMs ?? 0;
  return {
    ...task,
    priority: raisePriority(task.priority, request.priority),
    ...(wantedMs < task.notBeforeMs ? { notBeforeMs: wantedMs, notBeforeSetAtMs: nowMs } : {}),
    requesters: [...task.requesters, { name: request.requester, requestedAtMs: nowMs }],
  };
}

export function claimTask(task: Task, nowMs: number): Task {
  requireState(task, "claim", ["waiting"]);
  const { worker: _worker, finishedAtMs: _finishedAtMs, ...rest } = task;
  return { ...rest, state: "running", claimedAtMs: nowMs };
}

export function assignWorker(task: Task, worker: WorkerRecord): Task {
  requireState(task, "record the worker of", ["running"]);
  return { ...task, worker };
}

export function cancelTask(task: Task, nowMs: number): Task {
  requireState(task, "cancel", ["waiting", "running", "recovering"]);
  const requested = { ...task, cancelRequestedAtMs: task.cancelRequestedAtMs ?? nowMs };
  return task.state === "waiting" ? endTask(requested, "cancelled", nowMs) : requested;
}

export function finishTask(task: Task, outcome: TaskOutcome, nowMs: number): Task {
  requireState(task, "finish", ["running"]);
  switch (outcome.state) {
    case "done": {
      const { error: _error, ...rest } = task;
      return endTask({ ...rest, ...(outcome.result === undefined ? {} : { result: outcome.result }) }, "done", nowMs);
    }
    case "failed": {
      const result = outcome.result === undefined ? {} : { result: outcome.result };
      const failed: Task = { ...task, ...result, error: outcome.error, failures: task.failures + 1 };
      const again = outcome.error.retryable && failed.failures < task.maxAttempts && task.cancelRequestedAtMs === undefined;
      return again
        ? retryTask(failed, nowMs, Math.min(task.backoffMs * 2 ** task.failures, backoffCapMs))
        : endTask(failed, "failed", nowMs);
    }
    case "cancelled":
      return endTask({ ...task, ...(outcome.error === undefined ? {} : { error: outcome.error }) }, "cancelled", nowMs);
    case "interrupted":
      return releaseTask({ ...interruptTask(task), ...(outcome.error === undefined ? {} : { error: outcome.error }) }, nowMs);
  }
}

/** The daemon that ran it is dead; the worker perhaps not yet. */
export function interruptTask(task: Task): Task {
  requireState(task, "interrupt", ["running"]);
  const error = reportError(new HoldfastError("interrupted", `The ${task.kind} was interrupted: the daemon ended while it ran`));
  return { ...task, state: "recovering", interruptions: task.interruptions + 1, error };
}

/** The processes of an interrupted task are gone. */
export function releaseTask(task: Task, nowMs: number): Task {
  requireState(task, "release", ["recovering"]);
  if (task.cancelRequestedAtMs !== undefined) return endTask(task, "cancelled", nowMs);
  const again = task.onInterrupt === "retry" && task.interruptions <= maxInterruptions;
  return again ? retryTask(task, nowMs, 0) : endTask(task, "interrupted", nowMs);
}

/** The attempt that a step has just ended. */
export function createAttempt(task: Task, outcome: Attempt["outcome"], nowMs: number): Attempt {
  const error = outcome === "done" || task.error === undefined ? {} : { error: task.error };
  return { attempt: task.attempt, outcome, claimedAtMs: task.claimedAtMs ?? nowMs, endedAtMs: nowMs, ...error };
}

function retryTask(task: Task, nowMs: number, delayMs: number): Task {
  const { worker: _worker, ...rest } = task;
  return {
    ...rest,
    state: "waiting",
    attempt: task.attempt + 1,
    notBeforeMs: delayMs === 0 ? 0 : nowMs + delayMs,
    notBeforeSetAtMs: nowMs,
  };
}

function endTask(task: Task, state: "done" | "failed" | "cancelled" | "interrupted", nowMs: number): Task {
  return { ...task, state, finishedAtMs: nowMs };
}

function requireState(task: Task, step: string, states: readonly Task["state"][]): void {
  if (!states.includes(task.state)) {
    throw new HoldfastError("conflict", `Cannot ${step} task ${task.id}: it is ${task.state}`, {
      details: { id: task.id, state: task.state },
    });
  }
}
