import assert from "node:assert/strict";
import { test } from "node:test";
import { createRun, withCatalog } from "../../test/support/catalog.ts";
import type { FinalRunState, Run } from "./contract.ts";

const ids = (runs: readonly Run[]): readonly string[] => runs.map(({ id }) => id);
const ended = (state: FinalRunState, finishedAtMs = 2000) => ({ state, finishedAtMs, summary: state });

test("a run starts, ends once and keeps what it began with", () => {
  withCatalog(({ runs }) => {
    const started = runs.start(createRun("r1", { note: "before the migration" }));
    assert.equal(started.state, "running");
    assert.deepEqual(runs.get("r1"), started);
    const error = { code: "no-space", message: "Cannot write", retryable: false } as const;
    const outcome = { ...ended("failed"), error, bytes: 12, details: { phase: "publishing", sizes: [1, 2] } };
    assert.deepEqual(runs.finish("r1", outcome), { ...started, ...outcome });
    assert.deepEqual(runs.get("r1"), { ...started, ...outcome });
    assert.throws(() => runs.finish("r1", ended("ok")), { code: "conflict", message: "Cannot finish the run r1: it ended as failed" });
    assert.throws(() => runs.finish("r9", ended("ok")), { code: "unknown-name" });
    assert.throws(() => runs.start(createRun("r1")), { code: "conflict" });
    assert.equal(runs.get("r9"), undefined);
  });
});

test("F64 runs are listed newest first by arrival, whatever the clock said, and filtered", () => {
  withCatalog(({ runs }) => {
    runs.start(createRun("r1", { startedAtMs: 9000 }));
    runs.finish("r1", ended("ok"));
    runs.start(createRun("r2", { startedAtMs: 5 }));
    runs.start(createRun("r3", { kind: "verify" }));
    const { job, ...jobless } = createRun("r4", { kind: "restore" });
    assert.equal(job, "nightly");
    runs.start(jobless);
    assert.deepEqual(ids(runs.list()), ["r4", "r3", "r2", "r1"]);
    assert.deepEqual(ids(runs.list({ limit: 2 })), ["r4", "r3"]);
    assert.deepEqual(ids(runs.list({ job: "nightly" })), ["r3", "r2", "r1"]);
    assert.deepEqual(ids(runs.list({ kind: "restore" })), ["r4"]);
    assert.deepEqual(ids(runs.list({ job: "nightly", kind: "backup", states: ["ok", "failed"] })), ["r1"]);
    assert.deepEqual(runs.list({ states: [] }), []);
    assert.equal(runs.findLast("nightly", "backup")?.id, "r2");
    assert.equal(runs.findLast("nightly", "backup", ["ok", "partial"])?.id, "r1");
    assert.equal(runs.findLast("weekly", "backup"), undefined);
  });
});

test("F5 a start after a crash ends every run that says it is running, oldest first, and no other", () => {
  withCatalog(({ runs }) => {
    runs.start(createRun("r1"));
    runs.finish("r1", ended("ok"));
    runs.start(createRun("r2"));
    const { job, ...jobless } = createRun("r3", { kind: "restore" });
    assert.equal(job, "nightly");
    runs.start(jobless);
    const interrupted = runs.interruptAll(7000);
    assert.deepEqual(ids(interrupted), ["r2", "r3"]);
    assert.deepEqual(interrupted[0], {
      ...createRun("r2"),
      state: "interrupted",
      finishedAtMs: 7000,
      summary: 'Cannot finish the backup of "nightly": Holdfast ended while it was going on',
      error: {
        code: "interrupted",
        message: 'Cannot finish the backup of "nightly": Holdfast ended while it was going on',
        retryable: true,
      },
    });
    assert.equal(interrupted[1]?.summary, "Cannot finish the restore: Holdfast ended while it was going on");
    assert.deepEqual(runs.list({ states: ["running"] }), []);
    assert.deepEqual(runs.interruptAll(8000), []);
    assert.deepEqual([runs.get("r1")?.state, runs.get("r2")?.finishedAtMs], ["ok", 7000]);
  });
});

test("F65 slots missed in a downtime are one row with their number", () => {
  withCatalog(({ runs }) => {
    const missed = { ...createRun("r1", { missedCount: 17, finishedAtMs: 1000, summary: "17 slots missed" }), state: "missed" } as const;
    runs.record(missed);
    assert.deepEqual(runs.list({ states: ["missed"] }), [missed]);
    assert.throws(() => runs.record(missed), { code: "conflict" });
  });
});

test("pruning forgets old runs, but never a running one nor the last of each job, kind and state", () => {
  withCatalog(({ runs }) => {
    runs.start(createRun("running"));
    for (const [id, state, atMs] of [
      ["ok1", "ok", 100],
      ["ok2", "ok", 200],
      ["bad1", "failed", 300],
      ["ok3", "ok", 900],
      ["bad2", "failed", 400],
    ] as const) {
      runs.record({ ...createRun(id, { finishedAtMs: atMs }), state });
    }
    runs.record({ ...createRun("verify", { kind: "verify", finishedAtMs: 1 }), state: "ok" });
    runs.record({ ...createRun("other", { job: "weekly", finishedAtMs: 1 }), state: "ok" });
    assert.equal(runs.prune(200), 1);
    assert.deepEqual(ids(runs.list()), ["other", "verify", "bad2", "ok3", "bad1", "ok2", "running"]);
    assert.equal(runs.prune(1000), 2);
    assert.deepEqual(ids(runs.list()), ["other", "verify", "bad2", "ok3", "running"]);
    assert.equal(runs.prune(1000), 0);
  });
});
