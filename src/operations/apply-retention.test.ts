import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup, createMember } from "../../test/support/catalog.ts";
import { openControlBed } from "../../test/support/control.ts";
import type { BackupMarks, CatalogBackup } from "../catalog/contract.ts";
import { applyRetention, planRetention, requestRemovals } from "./apply-retention.ts";
import type { Core } from "./core.ts";
import { findJob } from "./find-config.ts";
import { parsePayload } from "./payload.ts";
import { planDeletion } from "./plan-deletion.ts";
import { prepareTask } from "./prepare-task.ts";

/** A core whose job keeps one backup, with so many good ones on record; nothing runs. */
async function withBackups(count: number, work: (core: Core, backups: readonly CatalogBackup[]) => void): Promise<void> {
  await using bed = await openControlBed();
  const { core } = bed;
  setRetention(core, { keepLast: 1 });
  const backups = Array.from({ length: count }, (_, index) => createBackup(index + 1));
  for (const backup of backups) core.catalog.backups.put(backup);
  work(core, backups);
}

function setRetention(core: Core, retention: { readonly keepLast: number } | undefined): void {
  const { retention: _, ...job } = findJob(core.config, "nightly");
  const changed = { ...job, ...(retention === undefined ? {} : { retention }) };
  core.config = { ...core.config, jobs: new Map([["nightly", changed]]) };
}

/** The sequences that the queue's removals would remove if their turn came now. */
function listDue(core: Core): readonly number[] {
  return core.queue.list({ kind: "remove" }).flatMap((task) => {
    const payload = parsePayload(task.payload);
    assert.equal(payload.operation, "remove");
    const prepared = prepareTask(core, payload, "/nowhere");
    assert.ok(prepared.kind === "remove");
    return prepared.setup.removals.map(({ id }) => core.catalog.backups.get("local", id)?.sequence ?? -1);
  });
}

const mark = (core: Core, backup: CatalogBackup | undefined, marks: Partial<BackupMarks>): void =>
  void core.catalog.backups.mark("local", backup?.id ?? "", marks);

test("F66 what retention gives up goes, oldest first", async () => {
  await withBackups(4, (core) => {
    applyRetention(core, findJob(core.config, "nightly"));
    assert.deepEqual(listDue(core), [1, 2, 3]);
  });
});

test("F66 a removal that has waited is decided again: what was pinned or put to use meanwhile stays", async () => {
  await withBackups(5, (core, backups) => {
    applyRetention(core, findJob(core.config, "nightly"));
    mark(core, backups[1], { pinned: "needed" });
    const payload = { operation: "verify" as const, job: "nightly", destination: "local", backupId: backups[2]?.id ?? "" };
    core.queue.enqueue({ kind: "verify", payload, keys: [], priority: "interactive", requester: "test" });
    assert.deepEqual(listDue(core), [1, 4]);
  });
});

test("F66 a removal that has waited never takes the last good backup: a newer one was found damaged", async () => {
  await withBackups(3, (core, backups) => {
    applyRetention(core, findJob(core.config, "nightly"));
    mark(core, backups[2], { damaged: "bit rot" });
    assert.deepEqual(listDue(core), [1]);
    mark(core, backups[1], { damaged: "bit rot" });
    assert.deepEqual(listDue(core), []);
  });
});

test("F66 what another machine has put at a shared destination under the same job name is not ours: it stays, and fills no count", async () => {
  await withBackups(2, (core) => {
    for (const sequence of [3, 4]) core.catalog.backups.put(createBackup(sequence, { host: `not-${core.config.settings.hostname}` }));
    core.catalog.backups.put(createBackup(5, { host: core.config.settings.hostname, class: "pre-restore" }));
    applyRetention(core, findJob(core.config, "nightly"));
    assert.deepEqual(listDue(core), [1]);
  });
});

test("F66 nothing goes after a suspect run, a clock jump, a policy that is gone, or a job that is gone", async () => {
  await withBackups(3, (core, backups) => {
    applyRetention(core, findJob(core.config, "nightly"));
    core.catalog.backups.put(createBackup(4, { suspect: ["memory has 1 B"] }));
    assert.deepEqual(listDue(core), []);
    core.catalog.backups.remove("local", createBackup(4).id);
    assert.deepEqual(listDue(core), [1, 2]);
    core.clockJump = "the clock jumped";
    assert.deepEqual(listDue(core), []);
    core.clockJump = undefined;
    setRetention(core, undefined);
    assert.deepEqual(listDue(core), []);
    core.config = { ...core.config, jobs: new Map() };
    assert.deepEqual(listDue(core), []);
    assert.equal(core.catalog.backups.find().length, backups.length);
  });
});

test("F66 partial, damaged and suspect backups displace no good one", async () => {
  await withBackups(1, (core) => {
    core.catalog.backups.put(createBackup(2, { status: "partial" }));
    core.catalog.backups.put(createBackup(3, { damaged: "bit rot" }));
    core.catalog.backups.put(createBackup(4, { suspect: ["small"], accepted: "known", damaged: "bit rot" }));
    const actions = planRetention(core, findJob(core.config, "nightly"), "local").map(({ action }) => action);
    assert.deepEqual(actions, ["keep", "keep", "keep", "keep"]);
  });
});

test("G3 F66 F50 an optional datastore that is not there any more: retention leaves the last backup with its data, a deletion says it", async () => {
  await withBackups(2, (core, backups) => {
    const members = [createMember("memory", 2000), createMember("caches", 0, "absent")];
    for (const sequence of [3, 4]) core.catalog.backups.put(createBackup(sequence, { members }));
    applyRetention(core, findJob(core.config, "nightly"));
    assert.deepEqual(listDue(core), [1, 3]);
    const [first, second] = backups;
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(planDeletion(core, second).refusals, ["it is the last verified backup with the data of caches"]);
  });
});

test("F66 a removal asked for twice is carried out once", async () => {
  await withBackups(3, (core, backups) => {
    applyRetention(core, findJob(core.config, "nightly"));
    core.catalog.backups.remove("local", backups[0]?.id ?? "");
    assert.deepEqual(listDue(core), [2]);
    core.catalog.backups.remove("local", backups[1]?.id ?? "");
    assert.deepEqual(listDue(core), []);
  });
});

/** What the socket's delete does once nothing speaks against it. */
function requestDeletion(core: Core, backup: CatalogBackup | undefined): void {
  assert.ok(backup !== undefined);
  const { id, name, createdAtMs } = backup;
  requestRemovals(core, "nightly", "local", [{ id, name, createdAtMs, action: "remove", reasons: ["removed on purpose"] }], "delete");
}

test("F66 a deletion on purpose counts only backups that are to stay and are believed", async () => {
  await withBackups(2, (core, [first, second]) => {
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(planDeletion(core, first).refusals, []);
    core.catalog.backups.put({ ...second, suspect: ["small"] });
    assert.deepEqual(planDeletion(core, first).refusals, ['it is the last verified backup of job "nightly"'], "the other is suspect");
    assert.deepEqual(planDeletion(core, second).refusals, []);
    mark(core, second, { accepted: "known" });
    assert.deepEqual(planDeletion(core, first).refusals, []);
    requestDeletion(core, second);
    assert.deepEqual(planDeletion(core, first).refusals, ['it is the last verified backup of job "nightly"'], "the other is being deleted");
    assert.deepEqual(planDeletion(core, second).refusals, [], "asked for again");
    core.catalog.backups.put({ ...second, destination: "offsite" });
    assert.deepEqual(planDeletion(core, first).refusals, [], "a copy of the other stays");
  });
});

test("F66 retention does not rely on a backup that is being deleted", async () => {
  await withBackups(3, (core, backups) => {
    requestDeletion(core, backups[2]);
    applyRetention(core, findJob(core.config, "nightly"));
    assert.deepEqual(listDue(core), [3, 1]);
  });
});
