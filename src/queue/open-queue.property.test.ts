import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { CrashableQueue } from "../../test/support/crashable-queue.ts";
import { type ConcurrencyKey, keysConflict } from "../base/concurrency-key.ts";
import { HoldfastError, reportError } from "../base/errors.ts";
import type { Priority, TaskState } from "./contract.ts";

const long = process.env["HOLDFAST_LONG"] === "1";
const concurrency = 3;
const backoffMs = 1_000;
const line: readonly Priority[] = ["interactive", "scheduled", "maintenance"];
const active: readonly TaskState[] = ["running", "recovering"];
const retryable = reportError(new HoldfastError("timeout", "too slow"));

const keyPool: readonly ConcurrencyKey[] = [
  { id: "dir", paths: ["/srv"] },
  { id: "db", paths: ["/srv/a.db"] },
  { id: "other", paths: ["/var/b.db"] },
  { id: "removals:local", paths: [] },
];

/** What a task is to somebody who has never seen the code. */
interface ModelTask {
  readonly id: string;
  readonly keys: readonly ConcurrencyKey[];
  readonly maxAttempts: number;
  readonly retryAfterCrash: boolean;
  readonly coalesceKey: string | undefined;
  readonly job: string;
  priority: Priority;
  state: TaskState;
  requests: number;
  failures: number;
  interruptions: number;
  readyAtMs: number;
  cancelled: boolean;
}

interface Model {
  /** In order of arrival. */
  readonly tasks: ModelTask[];
  readonly byIdempotencyKey: Map<string, { readonly id: string; readonly job: string }>;
  readonly paused: Set<string>;
  nowMs: number;
}

type Step = fc.Command<Model, CrashableQueue>;

function defineStep(name: string, run: (model: Model, real: CrashableQueue) => void): Step {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      compare(model, real);
    },
    toString: () => name,
  };
}

function compare(model: Model, real: CrashableQueue): void {
  const stored = real.queue.list();
  assert.deepEqual(
    stored.map(({ id, state, priority, requesters, failures, interruptions }) => [
      id,
      state,
      priority,
      requesters.length,
      failures,
      interruptions,
    ]),
    model.tasks.map(({ id, state, priority, requests, failures, interruptions }) => [
      id,
      state,
      priority,
      requests,
      failures,
      interruptions,
    ]),
    "nothing acknowledged is lost, no task is in a state of its own",
  );
  const holders = stored.filter(({ state }) => active.includes(state));
  assert.ok(holders.length <= concurrency);
  for (const [place, one] of holders.entries())
    for (const other of holders.slice(place + 1)) assert.ok(!overlap(one, other), "one at a time per key");
  const reasons = real.queue.explainAllWaiting();
  for (const { id, state } of stored) {
    assert.equal(reasons.has(id), state === "waiting");
    assert.equal(real.queue.explainWaiting(id), reasons.get(id));
  }
}

const overlap = (one: Pick<ModelTask, "keys">, other: Pick<ModelTask, "keys">) =>
  one.keys.some((key) => other.keys.some((rival) => keysConflict(key, rival)));

/** The rule of the documentation, said in another way: those in line, one after the other, each blocking what it wants. */
function expectNext(model: Model): ModelTask | undefined {
  const blocking = model.tasks.filter(({ state }) => active.includes(state));
  if (blocking.length >= concurrency) return undefined;
  for (const priority of line) {
    for (const task of model.tasks) {
      if (task.state !== "waiting" || task.priority !== priority || task.readyAtMs > model.nowMs) continue;
      if (model.paused.has("") || model.paused.has(task.job)) continue;
      if (!blocking.some((other) => overlap(other, task))) return task;
      blocking.push(task);
    }
  }
  return undefined;
}

function claim(model: Model, real: CrashableQueue): ModelTask | undefined {
  const expected = expectNext(model);
  const claimed = real.queue.claimNext(model.nowMs);
  assert.equal(claimed?.id, expected?.id);
  if (expected !== undefined) expected.state = "running";
  return expected;
}

function release(real: CrashableQueue, task: ModelTask): void {
  real.queue.release(task.id);
  if (task.cancelled) task.state = "cancelled";
  else if (task.retryAfterCrash && task.interruptions <= 3) Object.assign(task, { state: "waiting", readyAtMs: 0 });
  else task.state = "interrupted";
}

const pickTask = (model: Model, place: number, states: readonly TaskState[]): ModelTask | undefined => {
  const fitting = model.tasks.filter(({ state }) => states.includes(state));
  return fitting[place % Math.max(1, fitting.length)];
};

const place = fc.nat(20);
const enqueue = fc
  .record({
    keys: fc.subarray([...keyPool], { minLength: 1, maxLength: 3 }),
    priority: fc.constantFrom(...line),
    job: fc.constantFrom("nightly", "weekly"),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
    onInterrupt: fc.constantFrom("retry" as const, "record" as const),
    coalesceKey: fc.option(fc.constantFrom("c", "d"), { nil: undefined }),
    idempotencyKey: fc.option(fc.constantFrom("i", "j", "k"), { nil: undefined }),
  })
  .map(({ keys, priority, job, maxAttempts, onInterrupt, coalesceKey, idempotencyKey }) =>
    defineStep(`enqueue ${priority} ${keys.map(({ id }) => id).join("+")} ${coalesceKey ?? ""} ${idempotencyKey ?? ""}`, (model, real) => {
      const optional = {
        ...(coalesceKey === undefined ? {} : { coalesceKey }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      };
      const request = {
        kind: "backup",
        job,
        payload: {},
        keys,
        priority,
        requester: "model",
        maxAttempts,
        backoffMs,
        onInterrupt,
        ...optional,
      };
      const known = idempotencyKey === undefined ? undefined : model.byIdempotencyKey.get(idempotencyKey);
      // One idempotency key stands for one request; the job is part of what makes it the same.
      if (known !== undefined && known.job !== job) return assert.throws(() => real.queue.enqueue(request), { code: "conflict" });
      const sameKeys = (task: ModelTask) => task.keys.map(({ id }) => id).join() === keys.map(({ id }) => id).join();
      const joins = model.tasks.find(
        (task) => coalesceKey !== undefined && task.coalesceKey === coalesceKey && task.state === "waiting" && sameKeys(task),
      );
      const { task, joined } = real.queue.enqueue(request);
      assert.equal(joined, known !== undefined ? "repeated" : joins !== undefined ? "joined" : "new");
      if (known !== undefined) return assert.equal(task.id, known.id);
      if (idempotencyKey !== undefined) model.byIdempotencyKey.set(idempotencyKey, { id: task.id, job });
      if (joins !== undefined) {
        assert.equal(task.id, joins.id);
        joins.requests += 1;
        joins.readyAtMs = 0;
        joins.priority = line.find((rank) => rank === priority || rank === joins.priority) ?? priority;
        return;
      }
      const fresh = { failures: 0, interruptions: 0, readyAtMs: 0, cancelled: false, requests: 1, state: "waiting" } as const;
      model.tasks.push({ id: task.id, keys, maxAttempts, retryAfterCrash: onInterrupt === "retry", coalesceKey, job, priority, ...fresh });
    }),
  );

const others: readonly fc.Arbitrary<Step>[] = [
  fc.constant(defineStep("claim", (model, real) => void claim(model, real))),
  place.map((place) =>
    defineStep(`done ${place}`, (model, real) => {
      const task = pickTask(model, place, ["running"]);
      if (task === undefined) return;
      real.queue.finish(task.id, { state: "done" });
      task.state = "done";
    }),
  ),
  place.map((place) =>
    defineStep(`fail ${place}`, (model, real) => {
      const task = pickTask(model, place, ["running"]);
      if (task === undefined) return;
      real.queue.finish(task.id, { state: "failed", error: retryable });
      task.failures += 1;
      task.state = task.failures < task.maxAttempts && !task.cancelled ? "waiting" : "failed";
      task.readyAtMs = model.nowMs + backoffMs * 2 ** (task.failures - 1);
    }),
  ),
  place.map((place) =>
    defineStep(`cancel ${place}`, (model, real) => {
      const task = pickTask(model, place, ["waiting", "running", "recovering"]);
      if (task === undefined) return;
      real.queue.cancel(task.id);
      task.cancelled = true;
      if (task.state === "waiting") task.state = "cancelled";
    }),
  ),
  fc.constant(
    defineStep("crash", (model, real) => {
      real.crash();
      const recovered = real.queue.recover(model.nowMs).map(({ id }) => id);
      for (const task of model.tasks.filter(({ state }) => state === "running"))
        Object.assign(task, { state: "recovering", interruptions: task.interruptions + 1 });
      assert.deepEqual(
        recovered,
        model.tasks.filter(({ state }) => state === "recovering").map(({ id }) => id),
      );
    }),
  ),
  place.map((place) =>
    defineStep(`release ${place}`, (model, real) => {
      const task = pickTask(model, place, ["recovering"]);
      if (task !== undefined) release(real, task);
    }),
  ),
  fc.nat(5_000).map((ms) =>
    defineStep(`wait ${ms} ms`, (model, real) => {
      model.nowMs += ms;
      real.nowMs = model.nowMs;
    }),
  ),
  fc
    .constantFrom("", "nightly")
    .map((job) => defineStep(`pause ${job}`, (model, real) => (model.paused.add(job), real.queue.pause(job === "" ? {} : { job })))),
  fc
    .constantFrom("", "nightly")
    .map((job) => defineStep(`resume ${job}`, (model, real) => (model.paused.delete(job), real.queue.resume(job === "" ? {} : { job })))),
];

/** Nothing starves: when the world goes on without faults, every task comes to its end. */
function drain(model: Model, real: CrashableQueue): void {
  for (const job of ["", "nightly"]) {
    model.paused.delete(job);
    real.queue.resume(job === "" ? {} : { job });
  }
  model.nowMs += 10_000_000;
  real.nowMs = model.nowMs;
  for (const task of model.tasks.filter(({ state }) => state === "recovering")) release(real, task);
  for (const task of model.tasks.filter(({ state }) => state === "running")) {
    real.queue.finish(task.id, { state: "done" });
    task.state = "done";
  }
  for (let task = claim(model, real); task !== undefined; task = claim(model, real)) {
    real.queue.finish(task.id, { state: "done" });
    task.state = "done";
  }
  compare(model, real);
  assert.deepEqual(
    model.tasks.filter(({ state }) => state === "waiting"),
    [],
  );
}

test("prop-P3 G2 F1 F5 F10 the queue is a sequential one: one at a time per key, in line, all or none, nothing lost over crashes, nobody starves", () => {
  fc.assert(
    fc.property(
      fc.commands([enqueue, enqueue, ...others, fc.constant(defineStep("claim", (model, real) => void claim(model, real)))], {
        maxCommands: 60,
      }),
      (steps) => {
        const real = new CrashableQueue(concurrency);
        try {
          const model: Model = { tasks: [], byIdempotencyKey: new Map(), paused: new Set(), nowMs: 0 };
          fc.modelRun(() => ({ model, real }), steps);
          drain(model, real);
        } finally {
          real.remove();
        }
      },
    ),
    { numRuns: long ? 5_000 : 60 },
  );
});
