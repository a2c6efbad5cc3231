import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup, createRun, withCatalog } from "../../test/support/catalog.ts";

test("A11 L5 statistics of a job that has nothing", () => {
  withCatalog(({ statistics }) => {
    const nothing = { backups: 0, copies: 0, storedBytes: 0, preRestoreBackups: 0, preRestoreBytes: 0 };
    assert.deepEqual(statistics.read("nightly"), nothing);
    assert.deepEqual(statistics.read("nightly", "duck"), nothing);
  });
});

test("A11 L5 number, bytes, oldest, newest, newest good, last verified, last proven restorable and last run of a job", () => {
  withCatalog(({ backups, runs, statistics }) => {
    const oldest = createBackup(1, { drilledAtMs: 9_000, drillMs: 77, verifiedAtMs: 12_000 });
    const good = createBackup(2, { drilledAtMs: 8_000 });
    const copy = { ...good, destination: "offsite", verifiedAtMs: null };
    const newest = createBackup(3, { status: "partial" });
    const others = [createBackup(4, { class: "pre-restore" }), createBackup(5, { job: "weekly" }), createBackup(6, { missingSinceMs: 5 })];
    for (const backup of [newest, copy, good, oldest, ...others]) backups.put(backup);
    runs.record({ ...createRun("r1"), state: "ok" });
    runs.record({ ...createRun("r2"), state: "failed" });
    runs.record({ ...createRun("r3", { kind: "verify" }), state: "ok" });
    runs.record({ ...createRun("r4", { job: "weekly" }), state: "ok" });
    const lastRun = { ...createRun("r2"), state: "failed" };
    assert.deepEqual(statistics.read("nightly"), {
      backups: 3,
      copies: 4,
      storedBytes: 1001 + 1002 * 2 + 1003,
      preRestoreBackups: 1,
      preRestoreBytes: 1004,
      oldest,
      newest,
      newestGood: good,
      lastVerifiedAtMs: 12_000,
      lastDrilled: oldest,
      lastRun,
    });
  });
});
