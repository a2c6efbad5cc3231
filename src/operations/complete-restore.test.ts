import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, openControlBed } from "../../test/support/control.ts";
import { completeRestore } from "./complete-restore.ts";
import type { PayloadOf } from "./payload.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { createRestoreJournal } from "./restore-journal.ts";
import { noteRestore } from "./note-restore.ts";
import { noteStuck } from "./stuck-restores.ts";

const at = "2026-11-20T03:00:00Z";
const facts = { backupId: "b", destination: "local", backupName: "name", job: "nightly", datastores: ["files"], startedAtMs: 1 };
const payload: PayloadOf<"restore"> = {
  operation: "restore",
  job: "nightly",
  restoreId: "r1",
  destination: "local",
  backupId: "b",
  datastores: ["files"],
  unsavable: "refuse",
  start: "yes",
  undoes: null,
};
const result = { restoreId: "r1", backup: "name", members: [], preRestore: undefined, savedTo: "local", tookMs: 1, unproven: [] };

test("F59 G6 a restore whose leftovers could not be removed is tried again: until then nothing else begins, an undo neither", async () => {
  await using bed = await openControlBed();
  const { core } = bed;
  core.catalog.restores.put({ id: "r1", runId: "t1", ...facts, state: "running" });
  await using journal = await createRestoreJournal(restoreJournalDir(core.config.settings.stateDir), "r1");
  await journal.append({ type: "begin", at, id: "r1", backup: "name", job: "nightly", datastores: ["files"], start: [], stop: [] });
  await journal.append({ type: "committed", settle: true });
  completeRestore(core, payload, result);
  assert.match(core.stuckRestores.get("r1")?.message ?? "", /put aside could not be removed/);
  core.stuckRestores.clear();
  await journal.append({ type: "end", at, outcome: "done", message: "" });
  completeRestore(core, payload, result);
  assert.equal(core.stuckRestores.size, 0);
});

test("F62 G6 a restore that was rolled back, or goes on, cannot be undone: there is nothing to take back", async () => {
  await using bed = await openControlBed();
  const preRestore = { destination: "local", id: "saved", name: "before" };
  for (const state of ["rolled-back", "failed", "running"] as const) {
    bed.core.catalog.restores.put({ id: state, runId: state, ...facts, state, preRestore });
    const { status, body } = await ask(bed.adminPath, { method: "POST", path: "/v1/undo", body: { restore: state } });
    assert.deepEqual([status, (body as { error: { code: string } }).error.code], [404, "nothing-to-undo"], state);
  }
});

test("F60 a rollback after which the application does not start is no good news", async () => {
  await using bed = await openControlBed();
  const { core } = bed;
  const told: string[] = [];
  const tell = core.notifier.tell.bind(core.notifier);
  core.notifier.tell = (event, channels) => {
    told.push(event.kind);
    tell(event, channels);
  };
  for (const unwell of [undefined, "the application could not be started"]) {
    noteStuck(core, { id: "r2", job: "nightly", message: "in the way" }, "told");
    const ended = { id: "r2", job: "nightly", backup: "name", outcome: "rolled-back", message: "was rolled back" } as const;
    noteRestore(core, { ...ended, preRestore: undefined, ...(unwell === undefined ? {} : { unwell }) });
  }
  assert.deepEqual(told, ["recovery", "failure"]);
});
