import assert from "node:assert/strict";
import { test } from "node:test";
import { withCatalog } from "../../test/support/catalog.ts";

test("G1 a job is first seen once, per purpose", () => {
  withCatalog(({ slots }) => {
    assert.equal(slots.get("nightly", "backup"), undefined);
    assert.deepEqual(slots.ensureSeen("nightly", "backup", 100), { firstSeenMs: 100 });
    assert.deepEqual(slots.ensureSeen("nightly", "backup", 200), { firstSeenMs: 100 });
    assert.deepEqual(slots.ensureSeen("nightly", "verify", 300), { firstSeenMs: 300 });
    assert.deepEqual(slots.get("nightly", "backup"), { firstSeenMs: 100 });
    assert.equal(slots.get("nightly", "drill"), undefined);
  });
});

test("F64 F65 the last slot is remembered as given, and seeing the job again does not touch it", () => {
  withCatalog(({ slots }) => {
    slots.ensureSeen("nightly", "backup", 100);
    slots.setLast("nightly", "backup", 500);
    assert.deepEqual(slots.ensureSeen("nightly", "backup", 900), { firstSeenMs: 100, lastSlotMs: 500 });
    slots.setLast("nightly", "backup", 400);
    assert.deepEqual(slots.get("nightly", "backup"), { firstSeenMs: 100, lastSlotMs: 400 });
    assert.throws(() => slots.setLast("nightly", "drill", 1), { code: "unknown-name" });
  });
});

test("a job that is forgotten is new when it comes back; others stay", () => {
  withCatalog(({ slots }) => {
    for (const purpose of ["backup", "verify", "drill"] as const) slots.ensureSeen("nightly", purpose, 100);
    slots.ensureSeen("weekly", "backup", 100);
    slots.forget("nightly");
    for (const purpose of ["backup", "verify", "drill"] as const) assert.equal(slots.get("nightly", purpose), undefined);
    assert.deepEqual(slots.get("weekly", "backup"), { firstSeenMs: 100 });
    assert.deepEqual(slots.ensureSeen("nightly", "backup", 700), { firstSeenMs: 700 });
  });
});
