import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { ConcurrencyKey } from "../../src/base/concurrency-key.ts";
import { HoldfastError, reportError } from "../../src/base/errors.ts";
import type { EnqueueRequest, Queue, QueueChange } from "../../src/queue/contract.ts";
import { openQueue } from "../../src/queue/open-queue.ts";

/** What every queue must do. The clock stands still unless a test moves it. */
let directory: string;
let queue: Queue;
let nowMs: number;

const clock = { now: () => nowMs, monotonic: () => nowMs };
const open = (concurrency = 4): Queue => openQueue({ path: join(directory, "queue.db"), clock, concurrency, whenMissing: "create" });
const key = (id: string, ...paths: string[]): ConcurrencyKey => ({ id, paths });
const request = (more: Partial<EnqueueRequest> = {}): EnqueueRequest => ({
  kind: "backup",
  payload: { datastores: ["memory"] },
  keys: [key("sqlite:1:1", "/srv/memory.db")],
  priority: "scheduled",
  requester: "schedule",
  ...more,
});
const add = (more: Partial<EnqueueRequest> = {}) => queue.enqueue(request(more)).task;
const claim = () => queue.claimNext(nowMs);
const retryable = reportError(new HoldfastError("timeout", "too slow"));
const permanent = reportError(new HoldfastError("source-missing", "gone"));
const worker = { pid: 4711, startTicks: 1234, bootId: "boot", marker: "task" };

/** What a daemon that was killed leaves: the file is opened again without any farewell. */
function crash(): void {
  const dead = queue;
  queue = open();
  dead[Symbol.dispose]();
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-queue-"));
  nowMs = Date.UTC(2026, 0, 1);
  queue = open();
});
afterEach(() => {
  queue[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

describe("queue: enqueue", () => {
  test("a task keeps all that was asked for, across a restart", () => {
    const { task, joined } = queue.enqueue(
      request({ job: "nightly", deadlineMs: 5_000, maxAttempts: 3, onInterrupt: "retry", payload: null }),
    );
    assert.equal(joined, "new");
    crash();
    assert.deepEqual(queue.get(task.id), task);
    assert.equal(task.state, "waiting");
    assert.equal(task.payload, null);
    assert.deepEqual(task.requesters, [{ name: "schedule", requestedAtMs: nowMs }]);
  });

  test("F10 the same idempotency key gives the same task, waiting, running or done, before and after a restart", () => {
    const first = queue.enqueue(request({ idempotencyKey: "k" }));
    assert.deepEqual(queue.enqueue(request({ idempotencyKey: "k" })), { task: first.task, joined: "repeated" });
    claim();
    assert.equal(queue.enqueue(request({ idempotencyKey: "k" })).task.state, "running");
    queue.finish(first.task.id, { state: "done" });
    crash();
    assert.equal(queue.enqueue(request({ idempotencyKey: "k" })).task.id, first.task.id);
    assert.equal(queue.list().length, 1);
    assert.throws(() => queue.enqueue(request({ idempotencyKey: "k", kind: "restore" })), { code: "conflict" });
  });

  test("F10 a repeated request that had joined a task gives that task, even when it has started since", () => {
    const first = add({ coalesceKey: "c" });
    queue.enqueue(request({ coalesceKey: "c", idempotencyKey: "second" }));
    claim();
    const again = queue.enqueue(request({ coalesceKey: "c", idempotencyKey: "second" }));
    assert.equal(again.task.id, first.id);
    assert.equal(again.joined, "repeated");
  });

  test("D7 a request joins a task that has not started, raises its priority and is remembered", () => {
    const first = add({ coalesceKey: "c", notBeforeMs: nowMs + 60_000 });
    const { task, joined } = queue.enqueue(request({ coalesceKey: "c", priority: "interactive", requester: "cli" }));
    assert.equal(joined, "joined");
    assert.equal(task.id, first.id);
    assert.equal(task.priority, "interactive");
    assert.equal(task.notBeforeMs, 0);
    assert.deepEqual(
      task.requesters.map(({ name }) => name),
      ["schedule", "cli"],
    );
    assert.equal(queue.enqueue(request({ coalesceKey: "c", priority: "maintenance" })).task.priority, "interactive");
  });

  test("a request never joins a task that has started, one of other keys, or one of another kind", () => {
    const first = add({ coalesceKey: "c" });
    assert.equal(queue.enqueue(request({ coalesceKey: "c", keys: [key("other")] })).joined, "new");
    assert.equal(queue.enqueue(request({ coalesceKey: "c", kind: "verify" })).joined, "new");
    assert.equal(claim()?.id, first.id);
    assert.equal(queue.enqueue(request({ coalesceKey: "c" })).joined, "new");
  });
});

describe("queue: claim", () => {
  test("G2 one task per key; others go on side by side up to the concurrency", () => {
    const [first, second, other] = [add(), add(), add({ keys: [key("sqlite:1:2")] })];
    assert.equal(claim()?.id, first.id);
    assert.equal(claim()?.id, other.id);
    assert.equal(claim(), undefined);
    queue.finish(first.id, { state: "done" });
    assert.equal(claim()?.id, second.id);
    assert.equal(claim(), undefined);
  });

  test("G2 F60 backup, restore and prune of one datastore exclude one another, a directory and the file in it too", () => {
    const directory_ = add({ kind: "backup", keys: [key("files:srv", "/srv")] });
    add({ kind: "restore", keys: [key("sqlite:1:1", "/srv/app/memory.db")] });
    const beside = add({ kind: "restore", keys: [key("sqlite:1:2", "/srv2/memory.db")] });
    assert.equal(claim()?.id, directory_.id);
    assert.equal(claim()?.id, beside.id);
    assert.equal(claim(), undefined);
  });

  test("at most `concurrency` at a time", () => {
    queue[Symbol.dispose]();
    queue = open(2);
    for (const id of ["a", "b", "c"]) add({ keys: [key(id)] });
    assert.ok(claim());
    assert.ok(claim());
    assert.equal(claim(), undefined);
    assert.equal(queue.explainWaiting(queue.list({ states: ["waiting"] })[0]?.id ?? ""), "waiting because all 2 slots are taken");
  });

  test("interactive before scheduled before maintenance, then by arrival even when the clock goes back", () => {
    const ids = (["maintenance", "scheduled", "scheduled", "interactive"] as const).map((priority, place) => {
      nowMs -= 1_000;
      return add({ priority, keys: [key(`k${place}`)] }).id;
    });
    assert.deepEqual([claim()?.id, claim()?.id, claim()?.id, claim()?.id], [ids[3], ids[1], ids[2], ids[0]]);
  });

  test("a task with several keys is claimed with all or none and reserves them all: small ones that arrive later do not starve it", () => {
    const small = add({ keys: [key("a")] });
    claim();
    const large = add({ keys: [key("a"), key("b")], job: "nightly" });
    const late = add({ keys: [key("b")] });
    assert.equal(claim(), undefined);
    assert.equal(queue.explainWaiting(late.id), `waiting because backup ${large.id} of job nightly is ahead of it and has reserved b`);
    queue.finish(small.id, { state: "done" });
    assert.equal(claim()?.id, large.id);
    assert.equal(claim(), undefined);
  });

  test("a higher priority overtakes a reservation", () => {
    add({ keys: [key("a")] });
    claim();
    add({ keys: [key("a"), key("b")] });
    const urgent = add({ keys: [key("b")], priority: "interactive" });
    assert.equal(claim()?.id, urgent.id);
  });

  test("not before its time, and reserving nothing until then; a clock that jumps back does not stretch the wait", () => {
    const later = add({ notBeforeMs: nowMs + 60_000 });
    const sooner = add();
    assert.equal(queue.explainWaiting(later.id), "waiting, not before 2026-01-01T00:01:00.000Z");
    assert.equal(claim()?.id, sooner.id);
    queue.finish(sooner.id, { state: "done" });
    assert.equal(claim(), undefined);
    nowMs -= 365 * 86_400_000;
    assert.equal(claim()?.id, later.id);
  });

  test("says what a task waits for", () => {
    const first = add({ job: "nightly" });
    const second = add();
    assert.equal(
      queue.explainWaiting(second.id),
      `waiting because backup ${first.id} of job nightly is ahead of it and has reserved sqlite:1:1`,
    );
    claim();
    nowMs += 180_000;
    assert.equal(queue.explainWaiting(second.id), `waiting because backup ${first.id} of job nightly (running 3 min) holds sqlite:1:1`);
    assert.equal(queue.explainWaiting(first.id), undefined);
    assert.throws(() => queue.explainWaiting("none"), { code: "unknown-name" });
  });

  test("paused, all or one job, across a restart, until resumed", () => {
    const nightly = add({ job: "nightly" });
    const other = add({ job: "other", keys: [key("b")] });
    queue.pause({ job: "nightly", reason: "moving house" });
    queue.pause({ job: "nightly" });
    crash();
    assert.deepEqual(queue.pauses(), [{ job: "nightly", pausedAtMs: nowMs }]);
    assert.equal(queue.explainWaiting(nightly.id), "waiting because job nightly is paused");
    queue.pause({});
    queue.pause({ reason: "all" });
    assert.equal(queue.pauses().length, 2);
    assert.equal(claim(), undefined);
    assert.equal(queue.explainWaiting(other.id), "waiting because everything is paused");
    queue.resume({});
    assert.equal(claim()?.id, other.id);
    queue.resume({ job: "nightly" });
    assert.equal(claim()?.id, nightly.id);
  });
});

describe("queue: end", () => {
  test("F13 a failure that is retryable is tried again with growing back-off, then failed; each attempt is recorded", () => {
    const { id } = add({ maxAttempts: 3, backoffMs: 1_000 });
    claim();
    assert.equal(queue.finish(id, { state: "failed", error: retryable }).notBeforeMs, nowMs + 1_000);
    assert.equal(claim(), undefined);
    nowMs += 1_000;
    assert.equal(claim()?.attempt, 2);
    assert.equal(queue.finish(id, { state: "failed", error: retryable }).notBeforeMs, nowMs + 2_000);
    nowMs += 2_000;
    assert.equal(claim()?.attempt, 3);
    const last = queue.finish(id, { state: "failed", error: retryable });
    assert.equal(last.state, "failed");
    assert.equal(last.finishedAtMs, nowMs);
    assert.deepEqual(last.error, retryable);
    assert.deepEqual(
      queue.attempts(id).map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, "failed"],
        [2, "failed"],
        [3, "failed"],
      ],
    );
  });

  test("the back-off has a cap, and a failure that is not retryable is final", () => {
    const long = add({ maxAttempts: 90, backoffMs: 3_000_000 });
    claim();
    queue.finish(long.id, { state: "failed", error: retryable });
    nowMs += 3_000_000;
    claim();
    assert.equal(queue.finish(long.id, { state: "failed", error: retryable }).notBeforeMs, nowMs + 3_600_000);
    const other = add({ maxAttempts: 90 });
    claim();
    assert.equal(queue.finish(other.id, { state: "failed", error: permanent }).state, "failed");
  });

  test("a success after a failure keeps its result and no error", () => {
    const { id } = add({ maxAttempts: 2, backoffMs: 0 });
    claim();
    queue.recordWorker(id, worker);
    queue.finish(id, { state: "failed", error: retryable });
    assert.equal(claim()?.worker, undefined);
    const done = queue.finish(id, { state: "done", result: { backup: "b" } });
    assert.deepEqual(done.result, { backup: "b" });
    assert.equal(done.error, undefined);
    assert.equal(queue.get(id)?.state, "done");
  });

  test("cancel: a waiting task at once, a running one when its worker has ended, without a retry", () => {
    const running = add({ maxAttempts: 5 });
    const waiting = add();
    claim();
    assert.equal(queue.cancel(waiting.id).state, "cancelled");
    assert.equal(queue.cancel(running.id).state, "running");
    assert.equal(queue.get(running.id)?.cancelRequestedAtMs, nowMs);
    assert.equal(queue.finish(running.id, { state: "failed", error: retryable }).state, "failed");
    assert.throws(() => queue.cancel(running.id), { code: "conflict" });
  });

  test("steps that do not fit the state are refused and change nothing", () => {
    const { id } = add();
    assert.throws(() => queue.finish(id, { state: "done" }), { code: "conflict" });
    assert.throws(() => queue.recordWorker(id, worker), { code: "conflict" });
    assert.throws(() => queue.release(id), { code: "conflict" });
    assert.throws(() => queue.cancel("none"), { code: "unknown-name" });
    assert.equal(queue.get("none"), undefined);
    claim();
    queue.finish(id, { state: "done" });
    assert.throws(() => queue.finish(id, { state: "failed", error: permanent }), { code: "conflict" });
    assert.equal(queue.get(id)?.state, "done");
  });

  test("finds the tasks that use a backup, lists by filter, forgets old finished ones and their keys", () => {
    const verify = add({ kind: "verify", payload: { backup: "b1" }, idempotencyKey: "v" });
    const backup = add({ job: "nightly" });
    const uses = (payload: unknown) => (payload as { backup?: string }).backup === "b1";
    assert.deepEqual(
      queue.usesOf(uses).map(({ id }) => id),
      [verify.id],
    );
    assert.deepEqual(
      queue.list({ kind: "backup", job: "nightly", states: ["waiting"] }).map(({ id }) => id),
      [backup.id],
    );
    assert.deepEqual(
      queue.list({ limit: 1 }).map(({ id }) => id),
      [backup.id],
    );
    claim();
    queue.finish(verify.id, { state: "done" });
    assert.deepEqual(queue.usesOf(uses), []);
    assert.equal(queue.prune(nowMs), 0);
    assert.equal(queue.prune(nowMs + 1), 1);
    assert.deepEqual(
      queue.list().map(({ id }) => id),
      [backup.id],
    );
    assert.equal(queue.enqueue(request({ idempotencyKey: "v" })).joined, "new");
  });
});

describe("queue: recovery", () => {
  test("F5 what ran when the daemon died is recorded as interrupted and blocks its keys only until its processes are gone", () => {
    const { id } = add();
    const next = add();
    claim();
    queue.recordWorker(id, worker);
    crash();
    const [recovering, ...others] = queue.recover(nowMs);
    assert.deepEqual(others, []);
    assert.deepEqual(recovering?.worker, worker);
    assert.equal(recovering?.error?.code, "interrupted");
    assert.equal(claim(), undefined);
    assert.match(queue.explainWaiting(next.id) ?? "", /interrupted, its processes are being ended\) holds sqlite:1:1$/);
    crash();
    assert.equal(queue.recover(nowMs).length, 1, "a second crash before the release loses nothing");
    const released = queue.release(id);
    assert.equal(released.state, "interrupted");
    assert.equal(released.finishedAtMs, nowMs);
    assert.equal(claim()?.id, next.id);
    assert.deepEqual(
      queue.attempts(id).map(({ outcome }) => outcome),
      ["interrupted"],
    );
  });

  test("F5 a restartable task runs again ahead of later ones, but not for ever", () => {
    const { id } = add({ onInterrupt: "retry" });
    add();
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      assert.deepEqual([claim()?.id, queue.get(id)?.attempt], [id, attempt]);
      crash();
      queue.recover(nowMs);
      assert.equal(queue.release(id).state, attempt < 4 ? "waiting" : "interrupted");
    }
    assert.equal(queue.attempts(id).length, 4);
  });

  test("a cancellation that was asked for before the crash holds after it", () => {
    const { id } = add({ onInterrupt: "retry" });
    claim();
    queue.cancel(id);
    crash();
    queue.recover(nowMs);
    assert.equal(queue.release(id).state, "cancelled");
  });

  test("F2 a task that a stopping daemon interrupts itself waits again at once", () => {
    const { id } = add({ onInterrupt: "retry" });
    claim();
    assert.equal(queue.finish(id, { state: "interrupted" }).state, "waiting");
    assert.equal(claim()?.attempt, 2);
  });
});

describe("queue: changes", () => {
  test("listeners hear of each change after it happened, until they stop", async () => {
    const heard: string[] = [];
    const stop = queue.subscribe((change: QueueChange) =>
      heard.push("task" in change ? `${change.type} ${change.task.state}` : change.type),
    );
    const { id } = add({ maxAttempts: 2, backoffMs: 0 });
    claim();
    queue.finish(id, { state: "failed", error: retryable });
    claim();
    queue.cancel(id);
    queue.finish(id, { state: "cancelled" });
    queue.pause({});
    await Promise.resolve();
    stop();
    queue.resume({});
    await Promise.resolve();
    assert.deepEqual(heard, [
      "enqueued waiting",
      "claimed running",
      "retrying waiting",
      "claimed running",
      "cancel-requested running",
      "ended cancelled",
      "paused",
    ]);
  });
});
