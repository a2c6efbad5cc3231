import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createRequest, permanent, QueueBed, retryable, worker } from "../support/queue-bed.ts";

let bed: QueueBed;
beforeEach(() => {
  bed = new QueueBed();
});
afterEach(() => bed[Symbol.dispose]());

describe("queue: end", () => {
  test("F13 a failure that is retryable is tried again with growing back-off, then failed; each attempt is recorded", () => {
    const { id } = bed.add({ maxAttempts: 3, backoffMs: 1_000 });
    bed.claim();
    assert.equal(bed.queue.finish(id, { state: "failed", error: retryable }).notBeforeMs, bed.nowMs + 1_000);
    assert.equal(bed.claim(), undefined);
    bed.nowMs += 1_000;
    assert.equal(bed.claim()?.attempt, 2);
    assert.equal(bed.queue.finish(id, { state: "failed", error: retryable }).notBeforeMs, bed.nowMs + 2_000);
    bed.nowMs += 2_000;
    assert.equal(bed.claim()?.attempt, 3);
    const last = bed.queue.finish(id, { state: "failed", error: retryable });
    assert.equal(last.state, "failed");
    assert.equal(last.finishedAtMs, bed.nowMs);
    assert.deepEqual(last.error, retryable);
    assert.deepEqual(
      bed.queue.attempts(id).map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, "failed"],
        [2, "failed"],
        [3, "failed"],
      ],
    );
  });

  test("the back-off has a cap, and a failure that is not retryable is final", () => {
    const long = bed.add({ maxAttempts: 90, backoffMs: 3_000_000 });
    bed.claim();
    bed.queue.finish(long.id, { state: "failed", error: retryable });
    bed.nowMs += 3_000_000;
    bed.claim();
    assert.equal(bed.queue.finish(long.id, { state: "failed", error: retryable }).notBeforeMs, bed.nowMs + 3_600_000);
    const other = bed.add({ maxAttempts: 90 });
    bed.claim();
    assert.equal(bed.queue.finish(other.id, { state: "failed", error: permanent }).state, "failed");
  });

  test("a success after a failure keeps its result and no error", () => {
    const { id } = bed.add({ maxAttempts: 2, backoffMs: 0 });
    bed.claim();
    bed.queue.recordWorker(id, worker);
    bed.queue.finish(id, { state: "failed", error: retryable });
    assert.equal(bed.claim()?.worker, undefined);
    const done = bed.queue.finish(id, { state: "done", result: { backup: "b" } });
    assert.deepEqual(done.result, { backup: "b" });
    assert.equal(done.error, undefined);
    assert.equal(bed.queue.get(id)?.state, "done");
  });

  test("cancel: a waiting task at once, a running one when its worker has ended, without a retry", () => {
    const running = bed.add({ maxAttempts: 5 });
    const waiting = bed.add();
    bed.claim();
    assert.equal(bed.queue.cancel(waiting.id).state, "cancelled");
    assert.equal(bed.queue.cancel(running.id).state, "running");
    assert.equal(bed.queue.get(running.id)?.cancelRequestedAtMs, bed.nowMs);
    assert.equal(bed.queue.finish(running.id, { state: "failed", error: retryable }).state, "failed");
    assert.throws(() => bed.queue.cancel(running.id), { code: "conflict" });
  });

  test("steps that do not fit the state are refused and change nothing", () => {
    const { id } = bed.add();
    assert.throws(() => bed.queue.finish(id, { state: "done" }), { code: "conflict" });
    assert.throws(() => bed.queue.recordWorker(id, worker), { code: "conflict" });
    assert.throws(() => bed.queue.release(id), { code: "conflict" });
    assert.throws(() => bed.queue.cancel("none"), { code: "unknown-name" });
    assert.equal(bed.queue.get("none"), undefined);
    bed.claim();
    bed.queue.finish(id, { state: "done" });
    assert.throws(() => bed.queue.finish(id, { state: "failed", error: permanent }), { code: "conflict" });
    assert.equal(bed.queue.get(id)?.state, "done");
  });

  test("finds the tasks that use a backup, lists by filter, forgets old finished ones and their keys", () => {
    const verify = bed.add({ kind: "verify", payload: { backup: "b1" }, idempotencyKey: "v" });
    const backup = bed.add({ job: "nightly" });
    const uses = (payload: unknown) => (payload as { backup?: string }).backup === "b1";
    assert.deepEqual(
      bed.queue.usesOf(uses).map(({ id }) => id),
      [verify.id],
    );
    assert.deepEqual(
      bed.queue.list({ kind: "backup", job: "nightly", states: ["waiting"] }).map(({ id }) => id),
      [backup.id],
    );
    assert.deepEqual(
      bed.queue.list({ limit: 1 }).map(({ id }) => id),
      [backup.id],
    );
    bed.claim();
    bed.queue.finish(verify.id, { state: "done" });
    assert.deepEqual(bed.queue.usesOf(uses), []);
    assert.equal(bed.queue.prune(bed.nowMs), 0);
    assert.equal(bed.queue.prune(bed.nowMs + 1), 1);
    assert.deepEqual(
      bed.queue.list().map(({ id }) => id),
      [backup.id],
    );
    assert.equal(bed.queue.enqueue(createRequest({ idempotencyKey: "v" })).joined, "new");
  });
});

describe("queue: recovery", () => {
  test("F5 what ran when the daemon died is recorded as interrupted and blocks its keys only until its processes are gone", () => {
    const { id } = bed.add();
    const next = bed.add();
    bed.claim();
    bed.queue.recordWorker(id, worker);
    bed.crash();
    const [recovering, ...others] = bed.queue.recover(bed.nowMs);
    assert.deepEqual(others, []);
    assert.deepEqual(recovering?.worker, worker);
    assert.equal(recovering?.error?.code, "interrupted");
    assert.equal(bed.claim(), undefined);
    assert.match(bed.queue.explainWaiting(next.id) ?? "", /interrupted, its processes are being ended\) holds sqlite:1:1$/);
    bed.crash();
    assert.equal(bed.queue.recover(bed.nowMs).length, 1, "a second crash before the release loses nothing");
    const released = bed.queue.release(id);
    assert.equal(released.state, "interrupted");
    assert.equal(released.finishedAtMs, bed.nowMs);
    assert.equal(bed.claim()?.id, next.id);
    assert.deepEqual(
      bed.queue.attempts(id).map(({ outcome }) => outcome),
      ["interrupted"],
    );
  });

  test("F5 a restartable task runs again ahead of later ones, but not for ever", () => {
    const { id } = bed.add({ onInterrupt: "retry" });
    bed.add();
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      assert.deepEqual([bed.claim()?.id, bed.queue.get(id)?.attempt], [id, attempt]);
      bed.crash();
      bed.queue.recover(bed.nowMs);
      assert.equal(bed.queue.release(id).state, attempt < 4 ? "waiting" : "interrupted");
    }
    assert.equal(bed.queue.attempts(id).length, 4);
  });

  test("a cancellation that was asked for before the crash holds after it", () => {
    const { id } = bed.add({ onInterrupt: "retry" });
    bed.claim();
    bed.queue.cancel(id);
    bed.crash();
    bed.queue.recover(bed.nowMs);
    assert.equal(bed.queue.release(id).state, "cancelled");
  });

  test("F2 a task that a stopping daemon interrupts itself waits again at once", () => {
    const { id } = bed.add({ onInterrupt: "retry" });
    bed.claim();
    assert.equal(bed.queue.finish(id, { state: "interrupted" }).state, "waiting");
    assert.equal(bed.claim()?.attempt, 2);
  });
});
