import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createKey, QueueBed } from "../support/queue-bed.ts";

let bed: QueueBed;
beforeEach(() => {
  bed = new QueueBed();
});
afterEach(() => bed[Symbol.dispose]());

describe("queue: claim", () => {
  test("G2 one task per key; others go on side by side up to the concurrency", () => {
    const [first, second, other] = [bed.add(), bed.add(), bed.add({ keys: [createKey("sqlite:1:2")] })];
    assert.equal(bed.claim()?.id, first.id);
    assert.equal(bed.claim()?.id, other.id);
    assert.equal(bed.claim(), undefined);
    bed.queue.finish(first.id, { state: "done" });
    assert.equal(bed.claim()?.id, second.id);
    assert.equal(bed.claim(), undefined);
  });

  test("G2 F60 backup, restore and prune of one datastore exclude one another, a directory and the file in it too", () => {
    const directory_ = bed.add({ kind: "backup", keys: [createKey("files:srv", "/srv")] });
    bed.add({ kind: "restore", keys: [createKey("sqlite:1:1", "/srv/app/memory.db")] });
    const beside = bed.add({ kind: "restore", keys: [createKey("sqlite:1:2", "/srv2/memory.db")] });
    assert.equal(bed.claim()?.id, directory_.id);
    assert.equal(bed.claim()?.id, beside.id);
    assert.equal(bed.claim(), undefined);
  });

  test("at most `concurrency` at a time", () => {
    bed.queue[Symbol.dispose]();
    bed.queue = bed.open(2);
    for (const id of ["a", "b", "c"]) bed.add({ keys: [createKey(id)] });
    assert.ok(bed.claim());
    assert.ok(bed.claim());
    assert.equal(bed.claim(), undefined);
    assert.equal(bed.queue.explainWaiting(bed.queue.list({ states: ["waiting"] })[0]?.id ?? ""), "waiting because all 2 slots are taken");
  });

  test("interactive before scheduled before maintenance, then by arrival even when the clock goes back", () => {
    const ids = (["maintenance", "scheduled", "scheduled", "interactive"] as const).map((priority, place) => {
      bed.nowMs -= 1_000;
      return bed.add({ priority, keys: [createKey(`k${place}`)] }).id;
    });
    assert.deepEqual([bed.claim()?.id, bed.claim()?.id, bed.claim()?.id, bed.claim()?.id], [ids[3], ids[1], ids[2], ids[0]]);
  });

  test("a task with several keys is claimed with all or none and reserves them all: small ones that arrive later do not starve it", () => {
    const small = bed.add({ keys: [createKey("a")] });
    bed.claim();
    const large = bed.add({ keys: [createKey("a"), createKey("b")], job: "nightly" });
    const late = bed.add({ keys: [createKey("b")] });
    assert.equal(bed.claim(), undefined);
    assert.equal(bed.queue.explainWaiting(late.id), `waiting because backup ${large.id} of job nightly is ahead of it and has reserved b`);
    bed.queue.finish(small.id, { state: "done" });
    assert.equal(bed.claim()?.id, large.id);
    assert.equal(bed.claim(), undefined);
  });

  test("a higher priority overtakes a reservation", () => {
    bed.add({ keys: [createKey("a")] });
    bed.claim();
    bed.add({ keys: [createKey("a"), createKey("b")] });
    const urgent = bed.add({ keys: [createKey("b")], priority: "interactive" });
    assert.equal(bed.claim()?.id, urgent.id);
  });

  test("not before its time, and reserving nothing until then; a clock that jumps back does not stretch the wait", () => {
    const later = bed.add({ notBeforeMs: bed.nowMs + 60_000 });
    const sooner = bed.add();
    assert.equal(bed.queue.explainWaiting(later.id), "waiting, not before 2026-01-01T00:01:00.000Z");
    assert.equal(bed.claim()?.id, sooner.id);
    bed.queue.finish(sooner.id, { state: "done" });
    assert.equal(bed.claim(), undefined);
    bed.nowMs -= 365 * 86_400_000;
    assert.equal(bed.claim()?.id, later.id);
  });

  test("says what a task waits for", () => {
    const first = bed.add({ job: "nightly" });
    const second = bed.add();
    assert.equal(
      bed.queue.explainWaiting(second.id),
      `waiting because backup ${first.id} of job nightly is ahead of it and has reserved sqlite:1:1`,
    );
    bed.claim();
    bed.nowMs += 180_000;
    assert.equal(bed.queue.explainWaiting(second.id), `waiting because backup ${first.id} of job nightly (running 3 min) holds sqlite:1:1`);
    assert.equal(bed.queue.explainWaiting(first.id), undefined);
    assert.throws(() => bed.queue.explainWaiting("none"), { code: "unknown-name" });
  });

  test("paused, all or one job, across a restart, until resumed", () => {
    const nightly = bed.add({ job: "nightly" });
    const other = bed.add({ job: "other", keys: [createKey("b")] });
    bed.queue.pause({ job: "nightly", reason: "moving house" });
    bed.queue.pause({ job: "nightly" });
    bed.crash();
    assert.deepEqual(bed.queue.pauses(), [{ job: "nightly", pausedAtMs: bed.nowMs }]);
    assert.equal(bed.queue.explainWaiting(nightly.id), "waiting because job nightly is paused");
    bed.queue.pause({});
    bed.queue.pause({ reason: "all" });
    assert.equal(bed.queue.pauses().length, 2);
    assert.equal(bed.claim(), undefined);
    assert.equal(bed.queue.explainWaiting(other.id), "waiting because everything is paused");
    bed.queue.resume({});
    assert.equal(bed.claim()?.id, other.id);
    bed.queue.resume({ job: "nightly" });
    assert.equal(bed.claim()?.id, nightly.id);
  });
});
