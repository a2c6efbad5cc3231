import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup } from "../../test/support/catalog.ts";
import { openControlBed } from "../../test/support/control.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Restore } from "../catalog/contract.ts";
import { chooseUndo } from "./choose-undo.ts";
import type { Core } from "./core.ts";
import { offlineJournalDir } from "./prepare-task.ts";
import { createRestoreJournal } from "./restore-journal.ts";

const preRestore = { destination: "local", id: "p1", name: "pre_restore_1" };

function put(core: Core, id: string, facts: Partial<Restore> = {}): void {
  const names = { backupId: "b1", destination: "local", backupName: "backup_1", job: "nightly", datastores: ["files"] };
  core.catalog.restores.put({ id, runId: `task-${id}`, ...names, startedAtMs: 1000, finishedAtMs: 2000, state: "done", ...facts });
}

async function openBed() {
  const bed = await openControlBed();
  bed.core.catalog.backups.put(createBackup(1, { id: "p1", class: "pre-restore" }));
  return bed;
}

test("D6 the newest restore that is done is undone, and one that was rolled back or failed does not count", async () => {
  await using bed = await openBed();
  const { core } = bed;
  assert.throws(() => chooseUndo(core), { code: "nothing-to-undo", message: "There is no restore that can be undone" });
  put(core, "r1", { preRestore });
  put(core, "r2", { preRestore, job: "weekly" });
  for (const state of ["running", "rolled-back", "failed"] as const) put(core, `r-${state}`, { preRestore, state });
  assert.deepEqual([chooseUndo(core).restore.id, chooseUndo(core).undoOf], ["r2", null]);
  assert.equal(chooseUndo(core, "r1").restore.id, "r1");
  assert.throws(() => chooseUndo(core, "r-failed"), { code: "nothing-to-undo", hint: "These can: r2, r1." });
});

for (const [title, facts, why] of [
  ["saved nothing", {}, /what was there before it could not be saved/],
  ["made a new database", { databases: { files: "new" } }, /it made new and replaced nothing/],
  ["lost what it had saved", { preRestore: { ...preRestore, id: "p2" } }, /pre_restore_1, is not at "local" any more/],
] as const)
  test(`D6 G6 the newest restore ${title}: an undo without an id is refused, names it, and an older one is undone by its id alone`, async () => {
    await using bed = await openBed();
    const { core } = bed;
    put(core, "b", facts);
    assert.throws(() => chooseUndo(core), { code: "nothing-to-undo", message: why });
    put(core, "a", { preRestore });
    put(core, "b2", facts);
    assert.throws(
      () => chooseUndo(core),
      (error: unknown) => {
        assert.ok(error instanceof HoldfastError);
        assert.equal(error.code, "refused");
        assert.match(error.message, /^The newest restore, b2 of backup_1 \(files, 1970-01-01T00:00:02\.000Z\), cannot be undone: /);
        assert.match(error.message, why);
        assert.equal(
          error.hint,
          `To undo an older one on purpose: \`holdfast undo a\` (files, 1970-01-01T00:00:02.000Z).${"databases" in facts ? "" : " This takes away what b2 has restored into files."}`,
        );
        return true;
      },
    );
    assert.equal(chooseUndo(core, "a").restore.id, "a");
  });

for (const [when, atMs, datastores, isRefused] of [
  ["since, of the same data", 3000, ["files"], true],
  ["before", 1500, ["files"], false],
  ["of other data", 3000, ["other"], false],
] as const)
  test(`D6 D10 a restore that was made offline ${when} ${isRefused ? "keeps" : "does not keep"} an older one from being undone without its id`, async () => {
    await using bed = await openBed();
    const { core } = bed;
    put(core, "a", { preRestore });
    const at = new Date(atMs).toISOString();
    {
      await using journal = await createRestoreJournal(offlineJournalDir(core.config.settings.stateDir), "off");
      await journal.append({
        type: "begin",
        at,
        id: "off",
        backup: "copy",
        job: "nightly",
        datastores: [...datastores],
        start: [],
        stop: [],
      });
      await journal.append({ type: "saved", destination: "pre-restore", id: "p9", name: "pre_restore_9" });
      await journal.append({ type: "committed", settle: true });
      await journal.append({ type: "end", at, outcome: "done", message: "" });
    }
    if (isRefused) assert.throws(() => chooseUndo(core), { code: "refused", message: /off of copy .* was made offline.*pre_restore_9/ });
    else assert.equal(chooseUndo(core).restore.id, "a");
    assert.equal(chooseUndo(core, "a").restore.id, "a");
  });

test("D6 a restore of the same data that has not ended keeps an older one from being undone without its id", async () => {
  await using bed = await openBed();
  const { core } = bed;
  put(core, "a", { preRestore });
  const restore = { destination: "local", backupId: "b1", datastores: ["files"], unsavable: "refuse", start: "yes", undoes: null };
  const payload = { operation: "restore", job: "nightly", restoreId: "waiting", meant: {}, ...restore };
  const { task } = core.queue.enqueue({ kind: "restore", job: "nightly", payload, keys: [], priority: "interactive", requester: "test" });
  put(core, "waiting", { state: "running", runId: task.id, datastores: ["other"] });
  assert.equal(chooseUndo(core).restore.id, "a");
  put(core, "waiting", { state: "running", runId: task.id });
  assert.throws(() => chooseUndo(core), { code: "refused", message: /waiting of backup_1 .* has not come to its end/ });
});

test("D6 of an undo it is told what comes back: the restore's data, or once more what was there before it", async () => {
  await using bed = await openBed();
  const { core } = bed;
  const tell = (): unknown => {
    const { restore, undoOf } = chooseUndo(core);
    return [restore.id, undoOf?.restore.id, undoOf?.bringsBack];
  };
  put(core, "a", { preRestore, undoneByRestoreId: "b" });
  put(core, "b", { preRestore });
  assert.deepEqual(tell(), ["b", "a", "restored"]);
  put(core, "b", { preRestore, undoneByRestoreId: "c" });
  put(core, "c", { preRestore });
  assert.deepEqual(tell(), ["c", "a", "former"]);
});
