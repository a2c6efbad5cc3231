import assert from "node:assert/strict";
import { test } from "node:test";
import { openControlBed } from "../../test/support/control.ts";
import type { Core } from "./core.ts";
import { endInterruptedRestore } from "./end-interrupted-restores.ts";
import { noteEndedRestores } from "./note-restore.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { createRestoreJournal, type RestoreRecord } from "./restore-journal.ts";

const at = "2026-11-20T03:00:00Z";
const never = new AbortController().signal;
const preRestore = { destination: "local", id: "saved", name: "before" };

/** A restore that goes on as far as the catalog knows, with a journal of its own. */
async function putRestore(core: Core, id: string, after: readonly RestoreRecord[]): Promise<void> {
  const facts = { backupId: "b", destination: "local", backupName: "name", job: "nightly", datastores: ["files"], startedAtMs: 1 };
  core.catalog.restores.put({ id, runId: `task-${id}`, ...facts, state: "running" });
  await using journal = await createRestoreJournal(restoreJournalDir(core.config.settings.stateDir), id);
  await journal.append({ type: "begin", at, id, backup: "name", job: "nightly", datastores: ["files"], start: [], stop: [] });
  for (const record of after) await journal.append(record);
}

const done: readonly RestoreRecord[] = [
  { type: "saved", ...preRestore },
  { type: "committed", settle: true },
  { type: "end", at, outcome: "done", message: "" },
];

test("F4 F59 G6 a worker that died after the end of its restore: the restore is done and can be undone", async () => {
  await using bed = await openControlBed();
  await putRestore(bed.core, "r1", done);
  const ended = await endInterruptedRestore(bed.core, "r1", never);
  assert.equal(ended?.outcome, "done");
  const { state, preRestore: saved } = bed.core.catalog.restores.get("r1") ?? {};
  assert.deepEqual([state, saved], ["done", preRestore]);
});

test("F59 one that its worker has rolled back, and one that has only begun, are left to the worker's error", async () => {
  await using bed = await openControlBed();
  await putRestore(bed.core, "r1", [{ type: "rolled-back" }, { type: "end", at, outcome: "rolled-back", message: "no" }]);
  assert.equal(await endInterruptedRestore(bed.core, "r1", never), undefined);
  assert.equal(await endInterruptedRestore(bed.core, "none", never), undefined);
  assert.equal(bed.core.catalog.restores.get("r1")?.state, "running");
});

test("F1 F59 at the start after a crash, restores that had ended are noted as what they became, and no others", async () => {
  await using bed = await openControlBed();
  const { restores, runs } = bed.core.catalog;
  await putRestore(bed.core, "r1", done);
  await putRestore(bed.core, "r2", [{ type: "rolled-back" }, { type: "end", at, outcome: "rolled-back", message: "no" }]);
  await putRestore(bed.core, "r3", []);
  for (const id of ["r1", "r2", "r3"])
    runs.start({
      id: `run-${id}`,
      taskId: `task-${id}`,
      attempt: 1,
      kind: "restore",
      trigger: "t",
      startedAtMs: 1,
      summary: "",
      details: {},
    });
  await noteEndedRestores(bed.core);
  assert.deepEqual(
    ["r1", "r2", "r3"].map((id) => [restores.get(id)?.state, runs.get(`run-${id}`)?.state]),
    [
      ["done", "ok"],
      ["rolled-back", "failed"],
      ["running", "running"],
    ],
  );
});
