import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import type { ErrorReport } from "../base/errors.ts";
import type { ProcessIdentity } from "../base/process-group.ts";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue };

/** A person waits for the first, a schedule asks for the second, the daemon itself for the third. */
export type Priority = "interactive" | "scheduled" | "maintenance";

/**
 * waiting → running → done | failed | cancelled; failed with attempts left → waiting.
 * A daemon that starts turns each running task of its predecessor into recovering: the attempt is recorded as interrupted, the keys
 * stay taken because the old worker may still live. Once that is gone, `release` makes it waiting (a fresh attempt), interrupted or
 * cancelled. Done, failed, cancelled and interrupted are final.
 */
export type TaskState = "waiting" | "running" | "recovering" | "done" | "failed" | "cancelled" | "interrupted";

/** The process that does the work, recorded so that a later daemon can end it and never mistakes another process for it. */
export interface WorkerRecord extends ProcessIdentity {
  /** The value of HOLDFAST_TASK in the environment of the worker and of all its children. */
  readonly marker: string;
}

export interface Requester {
  readonly name: string;
  readonly requestedAtMs: number;
}

export interface Task {
  readonly id: string;
  /** Place in the order of arrival; unlike enqueuedAtMs it never goes back. */
  readonly sequence: number;
  readonly kind: string;
  readonly job?: string;
  readonly payload: JsonValue;
  readonly keys: readonly ConcurrencyKey[];
  readonly priority: Priority;
  readonly state: TaskState;
  /** Counts from 1: the attempt that runs, ran last, or runs next. */
  readonly attempt: number;
  /** How many attempts may fail; interruptions do not count, they have a limit of their own. */
  readonly maxAttempts: number;
  readonly failures: number;
  readonly interruptions: number;
  readonly backoffMs: number;
  readonly onInterrupt: "retry" | "record";
  /** 0: at once. */
  readonly notBeforeMs: number;
  /** When notBeforeMs was set: a clock that jumps back behind it must not stretch the wait. */
  readonly notBeforeSetAtMs: number;
  /** The longest that one attempt may run. */
  readonly deadlineMs?: number;
  readonly enqueuedAtMs: number;
  readonly claimedAtMs?: number;
  readonly finishedAtMs?: number;
  readonly cancelRequestedAtMs?: number;
  readonly coalesceKey?: string;
  /** Who asked for it: the first, and those that joined. */
  readonly requesters: readonly Requester[];
  readonly worker?: WorkerRecord;
  readonly result?: JsonValue;
  /** Of the last attempt that did not succeed. */
  readonly error?: ErrorReport;
}

export interface EnqueueRequest {
  readonly kind: string;
  readonly job?: string;
  /** Stored in plain text and shown: never secrets. */
  readonly payload: JsonValue;
  readonly keys: readonly ConcurrencyKey[];
  readonly priority: Priority;
  /** Who asks, for people: `cli`, `schedule 0 3 * * *`. */
  readonly requester: string;
  /** 1 by default. */
  readonly maxAttempts?: number;
  /** Doubled for each further attempt, up to one hour; 30 s by default. */
  readonly backoffMs?: number;
  /** `record` by default. */
  readonly onInterrupt?: "retry" | "record";
  readonly notBeforeMs?: number;
  readonly deadlineMs?: number;
  /** The same key gives the same task for as long as the task is kept; another request under it is a `conflict`. */
  readonly idempotencyKey?: string;
  /** A promise that requests with this key ask for the same work: one that has not started answers them all. */
  readonly coalesceKey?: string;
}

export interface Enqueued {
  readonly task: Task;
  /** `repeated`: this idempotency key was here before. */
  readonly joined: "new" | "joined" | "repeated";
}

export type TaskOutcome =
  | { readonly state: "done"; readonly result?: JsonValue }
  | { readonly state: "failed"; readonly error: ErrorReport; readonly result?: JsonValue }
  | { readonly state: "cancelled" | "interrupted"; readonly error?: ErrorReport };

/** One attempt that has ended. */
export interface Attempt {
  readonly attempt: number;
  readonly outcome: "done" | "failed" | "cancelled" | "interrupted";
  readonly claimedAtMs: number;
  readonly endedAtMs: number;
  readonly error?: ErrorReport;
}

export interface Pause {
  /** Undefined: everything. */
  readonly job?: string;
  readonly reason?: string;
  readonly pausedAtMs: number;
}

export interface TaskFilter {
  readonly states?: readonly TaskState[];
  readonly kind?: string;
  readonly job?: string;
  /** At most so many, the latest. */
  readonly limit?: number;
}

export type QueueChange =
  | {
      readonly type: "enqueued" | "joined" | "claimed" | "ended" | "retrying" | "cancel-requested" | "recovering" | "updated";
      readonly task: Task;
    }
  | { readonly type: "paused" | "resumed"; readonly job?: string };

/**
 * Durable intent. Every method is one transaction that is on disk when it returns; one process at a time may have a queue open (the
 * instance lock sees to it). Unknown ids throw `unknown-name`, steps that do not fit the state throw `conflict`.
 */
export interface Queue extends Disposable {
  enqueue(request: EnqueueRequest): Enqueued;
  /** Makes the next task that may start running, with all of its keys, or changes nothing. The rule is in choose-next.ts. */
  claimNext(nowMs: number): Task | undefined;
  recordWorker(id: string, worker: WorkerRecord): Task;
  /** The worker has ended. A retryable failure with attempts left makes the task wait again. */
  finish(id: string, outcome: TaskOutcome): Task;
  /** A waiting task is cancelled at once; of a running one it is recorded, and the caller stops the worker. */
  cancel(id: string): Task;
  /** For people: `waiting because backup 01h… of job nightly (running 3 min) holds sqlite:2049:7`; undefined when it does not wait. */
  explainWaiting(id: string): string | undefined;
  /** The same for all that wait, by id, for lists: one reading instead of one for each. */
  explainAllWaiting(): ReadonlyMap<string, string>;
  get(id: string): Task | undefined;
  /** In order of arrival. */
  list(filter?: TaskFilter): readonly Task[];
  /** Tasks that hold keys: running and recovering. */
  running(): readonly Task[];
  attempts(id: string): readonly Attempt[];
  /** Tasks that wait, run or recover and whose payload fulfils the predicate, for example those that use a backup. */
  usesOf(predicate: (payload: JsonValue) => boolean): readonly Task[];
  /** First thing after opening: the running tasks of a daemon that died. All that recover, those of earlier recoveries too. */
  recover(nowMs: number): readonly Task[];
  /** The processes of a recovering task are gone: its keys are free, it waits again or is final. */
  release(id: string): Task;
  /** Nothing (of this job) is claimed until resumed; survives restarts. */
  pause(scope: { readonly job?: string; readonly reason?: string }): void;
  resume(scope: { readonly job?: string }): void;
  pauses(): readonly Pause[];
  /** Forgets final tasks that finished before; returns how many. */
  prune(finishedBeforeMs: number): number;
  /** Called after the change is on disk, in a microtask. Returns the way to stop it. */
  subscribe(listener: (change: QueueChange) => void): () => void;
}
