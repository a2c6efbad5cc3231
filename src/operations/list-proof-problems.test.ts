import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup, createRun } from "../../test/support/catalog.ts";
import { openControlBed, type ControlBed } from "../../test/support/control.ts";
import type { FinalRunState, RunKind } from "../catalog/contract.ts";
import { readStatus, type JobStatus } from "./read-status.ts";

let count = 0;

/** A run of the job that has ended a second after the one before. */
function record({ core }: ControlBed, kind: RunKind, state: FinalRunState, facts: Parameters<typeof createRun>[1] = {}): void {
  count += 1;
  const summary = state === "failed" ? "it did not come up" : "";
  core.catalog.runs.record({ ...createRun(`r${count}`, { kind, summary, finishedAtMs: count * 1000, ...facts }), state });
}

function read({ core }: ControlBed): JobStatus {
  const [job] = readStatus(core).jobs;
  assert.ok(job !== undefined);
  return job;
}

for (const { kind, name, remedy } of [
  { kind: "drill", name: "drill", remedy: "holdfast drill latest --job nightly" },
  { kind: "verify", name: "verification", remedy: "holdfast verify --all --job nightly" },
] as const) {
  test(`G7 a ${name} that failed is a warning until a later one is ok; one that was ended early says nothing`, async () => {
    await using bed = await openControlBed();
    bed.core.catalog.backups.put(createBackup(1));
    record(bed, "backup", "ok");
    record(bed, kind, "ok");
    for (const state of ["interrupted", "cancelled", "skipped", "missed"] as const) record(bed, kind, state);
    assert.deepEqual([read(bed).state, read(bed).problems], ["ok", []]);
    record(bed, kind, "failed");
    record(bed, kind, "cancelled");
    assert.equal(read(bed).state, "warning");
    assert.equal(readStatus(bed.core).state, "warning");
    const at = new Date((count - 1) * 1000).toISOString();
    assert.deepEqual(read(bed).problems, [
      `the last ${name} failed at ${at}: it did not come up; \`holdfast runs nightly\` lists it, \`${remedy}\` tries again`,
    ]);
    // Nothing worse is hidden.
    record(bed, "backup", "failed");
    assert.equal(read(bed).state, "failed");
    record(bed, "backup", "ok");
    record(bed, kind, "ok");
    assert.deepEqual([read(bed).state, read(bed).problems], ["ok", []]);
  });
}

test("G7 W12 backups that are missing at their destination are a warning with their number, and are not the newest good one", async () => {
  await using bed = await openControlBed();
  const { backups } = bed.core.catalog;
  for (const sequence of [1, 2, 3]) backups.put(createBackup(sequence));
  record(bed, "backup", "ok");
  const [first, second, third] = [createBackup(1), createBackup(2), createBackup(3)];
  backups.mark("local", third.id, { missingSinceMs: 9000 });
  assert.equal(read(bed).newestGood?.name, second.name);
  assert.deepEqual(read(bed).problems, [
    `1 backup is missing at "local": ${third.name}; bring its files back, or \`holdfast rebuild\` forgets it`,
  ]);
  backups.mark("local", second.id, { missingSinceMs: 9000 });
  assert.deepEqual(
    [read(bed).state, read(bed).problems],
    ["warning", [`2 backups are missing at "local": ${third.name}, …; bring their files back, or \`holdfast rebuild\` forgets them`]],
  );
  // Removed on purpose.
  for (const { id } of [second, third]) backups.remove("local", id);
  assert.deepEqual([read(bed).state, read(bed).newestGood?.name], ["ok", first.name]);
});

test("G7 W12 a job whose only backup somebody else has removed is no longer ok; one whose backup was deleted on purpose is", async () => {
  await using bed = await openControlBed();
  const { backups } = bed.core.catalog;
  const { id, name } = createBackup(1);
  backups.put(createBackup(1));
  record(bed, "backup", "ok", { backupId: id, details: { name, destination: "local" } });
  backups.remove("local", id);
  assert.deepEqual(
    [read(bed).state, read(bed).problems],
    [
      "warning",
      [`no good backup is left: ${name} is no longer at "local", and was not deleted by Holdfast; \`holdfast backup nightly\` makes one`],
    ],
  );
  record(bed, "remove", "ok", { trigger: "delete" });
  assert.deepEqual([read(bed).state, read(bed).problems], ["ok", []]);
});

test("a backup at a place that no config names is never on record, and not missed", async () => {
  await using bed = await openControlBed();
  record(bed, "backup", "ok", { backupId: "b1", details: { name: "b", destination: "/mnt/usb" } });
  assert.deepEqual([read(bed).state, read(bed).problems], ["ok", []]);
});
