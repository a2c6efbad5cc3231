import type { Database } from "better-sqlite3";
import { createHash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import { chooseNext, findBlocker, type Situation } from "./choose-next.ts";
import type {
  Attempt,
  Enqueued,
  EnqueueRequest,
  JsonValue,
  Pause,
  Queue,
  QueueChange,
  Task,
  TaskFilter,
  TaskOutcome,
  WorkerRecord,
} from "./contract.ts";
import { describeBlocker } from "./describe-blocker.ts";
import { migrations } from "./migrations.ts";
import { openQueueFile, withQueueErrors } from "./open-queue-file.ts";
import {
  assignWorker,
  cancelTask,
  claimTask,
  createAttempt,
  createTask,
  finishTask,
  interruptTask,
  joinTask,
  releaseTask,
} from "./task-transitions.ts";
import { TaskTable } from "./task-table.ts";

export interface QueueOptions {
  readonly path: string;
  readonly clock: Clock;
  /** How many tasks may run at the same time. */
  readonly concurrency: number;
  /** `create` at the first start only; `refuse` by default, because an empty queue must never stand in for a lost one. */
  readonly whenMissing?: "create" | "refuse";
}

/** Opens the durable queue. @throws state-corrupt, state-newer */
export function openQueue(options: QueueOptions): Queue {
  return new SqliteQueue(openQueueFile(options.path, options.whenMissing ?? "refuse", migrations), options);
}

class SqliteQueue implements Queue {
  readonly #database: Database;
  readonly #table: TaskTable;
  readonly #options: QueueOptions;
  readonly #listeners = new Set<(change: QueueChange) => void>();

  constructor(database: Database, options: QueueOptions) {
    this.#database = database;
    this.#table = new TaskTable(database);
    this.#options = options;
  }

  enqueue(request: EnqueueRequest): Enqueued {
    const nowMs = this.#options.clock.now();
    const enqueued = this.#transact((): Enqueued => {
      const repeated = this.#findRepeated(request);
      if (repeated !== undefined) return { task: repeated, joined: "repeated" };
      const waiting = request.coalesceKey === undefined ? [] : this.#table.findWaitingByCoalesceKey(request.coalesceKey);
      // A reloaded config may have changed what the same job touches.
      const sameWork = waiting.find((task) => task.kind === request.kind && JSON.stringify(task.keys) === JSON.stringify(request.keys));
      const task =
        sameWork === undefined
          ? this.#table.insert(createTask(request, createId(nowMs), nowMs))
          : this.#table.save(joinTask(sameWork, request, nowMs));
      if (request.idempotencyKey !== undefined) this.#table.rememberIdempotencyKey(request.idempotencyKey, task, fingerprint(request));
      return { task, joined: sameWork === undefined ? "new" : "joined" };
    });
    if (enqueued.joined !== "repeated") this.#announce({ type: enqueued.joined === "new" ? "enqueued" : "joined", task: enqueued.task });
    return enqueued;
  }

  claimNext(nowMs: number): Task | undefined {
    const claimed = this.#transact(() => {
      const next = chooseNext(this.#readSituation(nowMs));
      return next && this.#table.save(claimTask(next, nowMs));
    });
    if (claimed !== undefined) this.#announce({ type: "claimed", task: claimed });
    return claimed;
  }

  recordWorker(id: string, worker: WorkerRecord): Task {
    return this.#step(id, (task) => assignWorker(task, worker));
  }

  finish(id: string, outcome: TaskOutcome): Task {
    const nowMs = this.#options.clock.now();
    return this.#step(id, (task) => {
      const next = finishTask(task, outcome, nowMs);
      this.#table.recordAttempt(id, createAttempt({ ...next, attempt: task.attempt }, outcome.state, nowMs));
      return next;
    });
  }

  cancel(id: string): Task {
    return this.#step(id, (task) => cancelTask(task, this.#options.clock.now()));
  }

  explainWaiting(id: string): string | undefined {
    return this.#transact(() => {
      const task = this.#table.read(id);
      if (task.state !== "waiting") return undefined;
      return explain(task, this.#readSituation(this.#options.clock.now()));
    });
  }

  explainAllWaiting(): ReadonlyMap<string, string> {
    const situation = this.#transact(() => this.#readSituation(this.#options.clock.now()));
    return new Map(situation.waiting.map((task) => [task.id, explain(task, situation)]));
  }

  get(id: string): Task | undefined {
    return this.#transact(() => this.#table.find(id));
  }

  list(filter: TaskFilter = {}): readonly Task[] {
    return this.#transact(() => this.#table.list(filter));
  }

  running(): readonly Task[] {
    return this.list({ states: ["running", "recovering"] });
  }

  attempts(id: string): readonly Attempt[] {
    return this.#transact(() => this.#table.attempts(this.#table.read(id).id));
  }

  usesOf(predicate: (payload: JsonValue) => boolean): readonly Task[] {
    return this.list({ states: ["waiting", "running", "recovering"] }).filter((task) => predicate(task.payload));
  }

  recover(nowMs: number): readonly Task[] {
    const interrupted = this.#transact(() =>
      this.#table.list({ states: ["running"] }).map((task) => {
        const next = this.#table.save(interruptTask(task));
        this.#table.recordAttempt(task.id, createAttempt(next, "interrupted", nowMs));
        return next;
      }),
    );
    for (const task of interrupted) this.#announce({ type: "recovering", task });
    return this.list({ states: ["recovering"] });
  }

  release(id: string): Task {
    return this.#step(id, (task) => releaseTask(task, this.#options.clock.now()));
  }

  pause({ job, reason }: { readonly job?: string; readonly reason?: string }): void {
    const pausedAtMs = this.#options.clock.now();
    const scope = job === undefined ? {} : { job };
    this.#transact(() => this.#table.pause({ ...scope, ...(reason === undefined ? {} : { reason }), pausedAtMs }));
    this.#announce({ type: "paused", ...scope });
  }

  resume({ job }: { readonly job?: string }): void {
    this.#transact(() => this.#table.resume(job));
    this.#announce({ type: "resumed", ...(job === undefined ? {} : { job }) });
  }

  pauses(): readonly Pause[] {
    return this.#transact(() => this.#table.pauses());
  }

  prune(finishedBeforeMs: number): number {
    return this.#transact(() => this.#table.prune(finishedBeforeMs));
  }

  subscribe(listener: (change: QueueChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#listeners.clear();
    this.#database.close();
  }

  #findRepeated(request: EnqueueRequest): Task | undefined {
    const known = request.idempotencyKey === undefined ? undefined : this.#table.findByIdempotencyKey(request.idempotencyKey);
    if (known !== undefined && known.fingerprint !== fingerprint(request)) {
      throw new HoldfastError(
        "conflict",
        `The idempotency key "${request.idempotencyKey}" was used for another request (task ${known.task.id})`,
        {
          hint: "Use a new key for a new request.",
        },
      );
    }
    return known?.task;
  }

  #readSituation(nowMs: number): Situation<Task> {
    const { concurrency } = this.#options;
    const waiting = this.#table.list({ states: ["waiting"] });
    return { waiting, active: this.#table.list({ states: ["running", "recovering"] }), pauses: this.#table.pauses(), nowMs, concurrency };
  }

  #step(id: string, step: (task: Task) => Task): Task {
    const after = this.#transact(() => this.#table.save(step(this.#table.read(id))));
    this.#announce({ type: describeStep(after), task: after });
    return after;
  }

  #transact<Result>(work: () => Result): Result {
    return withQueueErrors(this.#options.path, () => this.#database.transaction(work).immediate());
  }

  /** In a microtask: a listener that throws is a bug of its own and must not make a change that is on disk look failed. */
  #announce(change: QueueChange): void {
    for (const listener of this.#listeners) queueMicrotask(() => listener(change));
  }
}

function explain(task: Task, situation: Situation<Task>): string {
  return describeBlocker(findBlocker(task, situation), situation.nowMs, situation.concurrency);
}

function describeStep(after: Task): "ended" | "retrying" | "cancel-requested" | "updated" {
  if (after.finishedAtMs !== undefined) return "ended";
  if (after.state === "waiting") return "retrying";
  return after.cancelRequestedAtMs === undefined ? "updated" : "cancel-requested";
}

/** What makes two requests the same one; keys follow from these and may change with the config. */
function fingerprint({ kind, job, payload }: EnqueueRequest): string {
  return createHash("sha256")
    .update(JSON.stringify([kind, job ?? null, payload]))
    .digest("hex");
}
