import assert from "node:assert/strict";
import { test } from "node:test";
import { withCatalog } from "../../test/support/catalog.ts";
import type { AuditEvent } from "./contract.ts";

const events: readonly AuditEvent[] = [
  { atMs: 1000, actor: "schedule", action: "backup.created", subject: "duck_backup_1", outcome: "ok", details: { bytes: 5 } },
  {
    atMs: 2000,
    actor: "uid 1000 (ada)",
    action: "backup.removed",
    subject: "duck_backup_0",
    outcome: "ok",
    details: { reasons: ["by hand"] },
  },
  { atMs: 3000, actor: "schedule", action: "backup.verified", subject: "duck_backup_1", outcome: "ok", details: null },
  { atMs: 4000, actor: "schedule", action: "run.failed", subject: "nightly", outcome: "failed", details: { cause: "no space" } },
];

test("P8 audit trail: creation, clean-up, verification result and error with its cause, each with its time, newest first", () => {
  withCatalog(({ audit }) => {
    for (const event of events) audit.record(event);
    assert.deepEqual(audit.list(), events.toReversed());
    assert.deepEqual(audit.list({}, 2), events.slice(2).toReversed());
    const times = (filter: Parameters<typeof audit.list>[0]) => audit.list(filter).map(({ atMs }) => atMs);
    assert.deepEqual(times({ actor: "uid 1000 (ada)" }), [2000]);
    assert.deepEqual(times({ action: "backup.verified" }), [3000]);
    assert.deepEqual(times({ subject: "duck_backup_1" }), [3000, 1000]);
    assert.deepEqual(times({ outcome: "failed" }), [4000]);
    assert.deepEqual(times({ sinceMs: 2000, untilMs: 4000 }), [3000, 2000]);
    assert.deepEqual(times({ actor: "schedule", outcome: "ok", sinceMs: 1001 }), [3000]);
  });
});

test("P8 the audit trail has a retention of its own", () => {
  withCatalog(({ audit }) => {
    for (const event of events) audit.record(event);
    assert.equal(audit.prune(3000), 2);
    assert.deepEqual(audit.list(), events.slice(2).toReversed());
    assert.equal(audit.prune(3000), 0);
  });
});
