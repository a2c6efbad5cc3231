import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { QueueChange } from "../../src/queue/contract.ts";
import { createKey, createRequest, QueueBed, retryable } from "../support/queue-bed.ts";

/** What every queue must do; its claims and its ends have files of their own. */
let bed: QueueBed;
beforeEach(() => {
  bed = new QueueBed();
});
afterEach(() => bed[Symbol.dispose]());

describe("queue: enqueue", () => {
  test("a task keeps all that was asked for, across a restart", () => {
    const { task, joined } = bed.queue.enqueue(
      createRequest({ job: "nightly", deadlineMs: 5_000, maxAttempts: 3, onInterrupt: "retry", payload: null }),
    );
    assert.equal(joined, "new");
    bed.crash();
    assert.deepEqual(bed.queue.get(task.id), task);
    assert.equal(task.state, "waiting");
    assert.equal(task.payload, null);
    assert.deepEqual(task.requesters, [{ name: "schedule", requestedAtMs: bed.nowMs }]);
  });

  test("F10 the same idempotency key gives the same task, waiting, running or done, before and after a restart", () => {
    const first = bed.queue.enqueue(createRequest({ idempotencyKey: "k" }));
    assert.deepEqual(bed.queue.enqueue(createRequest({ idempotencyKey: "k" })), { task: first.task, joined: "repeated" });
    bed.claim();
    assert.equal(bed.queue.enqueue(createRequest({ idempotencyKey: "k" })).task.state, "running");
    bed.queue.finish(first.task.id, { state: "done" });
    bed.crash();
    assert.equal(bed.queue.enqueue(createRequest({ idempotencyKey: "k" })).task.id, first.task.id);
    assert.equal(bed.queue.list().length, 1);
    assert.throws(() => bed.queue.enqueue(createRequest({ idempotencyKey: "k", kind: "restore" })), { code: "conflict" });
  });

  test("F10 a repeated request that had joined a task gives that task, even when it has started since", () => {
    const first = bed.add({ coalesceKey: "c" });
    bed.queue.enqueue(createRequest({ coalesceKey: "c", idempotencyKey: "second" }));
    bed.claim();
    const again = bed.queue.enqueue(createRequest({ coalesceKey: "c", idempotencyKey: "second" }));
    assert.equal(again.task.id, first.id);
    assert.equal(again.joined, "repeated");
  });

  test("D7 a request joins a task that has not started, raises its priority and is remembered", () => {
    const first = bed.add({ coalesceKey: "c", notBeforeMs: bed.nowMs + 60_000 });
    const { task, joined } = bed.queue.enqueue(createRequest({ coalesceKey: "c", priority: "interactive", requester: "cli" }));
    assert.equal(joined, "joined");
    assert.equal(task.id, first.id);
    assert.equal(task.priority, "interactive");
    assert.equal(task.notBeforeMs, 0);
    assert.deepEqual(
      task.requesters.map(({ name }) => name),
      ["schedule", "cli"],
    );
    assert.equal(bed.queue.enqueue(createRequest({ coalesceKey: "c", priority: "maintenance" })).task.priority, "interactive");
  });

  test("a request never joins a task that has started, one of other keys, or one of another kind", () => {
    const first = bed.add({ coalesceKey: "c" });
    assert.equal(bed.queue.enqueue(createRequest({ coalesceKey: "c", keys: [createKey("other")] })).joined, "new");
    assert.equal(bed.queue.enqueue(createRequest({ coalesceKey: "c", kind: "verify" })).joined, "new");
    assert.equal(bed.claim()?.id, first.id);
    assert.equal(bed.queue.enqueue(createRequest({ coalesceKey: "c" })).joined, "new");
  });
});

describe("queue: changes", () => {
  test("listeners hear of each change after it happened, until they stop", async () => {
    const heard: string[] = [];
    const stop = bed.queue.subscribe((change: QueueChange) =>
      heard.push("task" in change ? `${change.type} ${change.task.state}` : change.type),
    );
    const { id } = bed.add({ maxAttempts: 2, backoffMs: 0 });
    bed.claim();
    bed.queue.finish(id, { state: "failed", error: retryable });
    bed.claim();
    bed.queue.cancel(id);
    bed.queue.finish(id, { state: "cancelled" });
    bed.queue.pause({});
    await Promise.resolve();
    stop();
    bed.queue.resume({});
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
