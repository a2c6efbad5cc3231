import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup, createRun, withCatalog } from "../../test/support/catalog.ts";

test("every change of a job's backups and runs, and of the slots, gives another revision; of other jobs it does not", () => {
  withCatalog((catalog) => {
    const { backups, runs, slots } = catalog;
    const backup = createBackup(1);
    const run = createRun("one");
    slots.ensureSeen("nightly", "backup", 1);
    const changes: readonly (readonly ["job:nightly" | "slots", () => unknown])[] = [
      ["job:nightly", () => backups.put(backup)],
      ["job:nightly", () => backups.mark("local", backup.id, { pinned: "x" })],
      ["job:nightly", () => backups.replaceDestination("local", [{ ...backup, note: "y" }])],
      ["job:nightly", () => backups.replaceDestination("local", [])],
      ["job:nightly", () => backups.put(backup)],
      ["job:nightly", () => backups.remove("local", backup.id)],
      ["job:nightly", () => runs.start(run)],
      ["job:nightly", () => runs.interruptAll(5)],
      ["job:nightly", () => runs.record({ ...createRun("two"), state: "ok", finishedAtMs: 3 })],
      ["job:nightly", () => runs.prune(10)],
      ["slots", () => slots.ensureSeen("weekly", "backup", 1)],
      ["slots", () => slots.setLast("nightly", "backup", 2)],
      ["slots", () => slots.forget("nightly")],
    ];
    for (const [subject, change] of changes) {
      const before = catalog.revisionOf(subject);
      change();
      assert.ok(catalog.revisionOf(subject) > before, String(change));
    }
    const other = catalog.revisionOf("job:other");
    backups.put(backup);
    slots.ensureSeen("weekly", "backup", 9);
    assert.equal(catalog.revisionOf("job:other"), other);
  });
});

test("what was read in a transaction that did not happen is not believed", () => {
  withCatalog((catalog) => {
    let within = 0;
    assert.throws(() =>
      catalog.transact(() => {
        catalog.backups.put(createBackup(1));
        within = catalog.revisionOf("job:nightly");
        throw new Error("no");
      }),
    );
    assert.ok(catalog.revisionOf("job:nightly") > within);
  });
});
