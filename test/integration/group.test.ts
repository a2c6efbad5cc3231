import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createId } from "../../src/base/ids.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runRestore } from "../../src/operations/restore.ts";
import type { HoldSetup } from "../../src/operations/setup.ts";
import { openBackupBed, type BackupBed } from "../support/backup-bed.ts";
import { openCountersWorld, type CountersWorld } from "../support/four-counters.ts";

let hooks: string | undefined;
before(() => {
  hooks = process.env["HOLDFAST_HOOKS"];
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = hooks;
});

const never = new AbortController().signal;
const rounds = 3;
let restores = 0;

/** Restores all of it over what is there; the application is stopped. */
async function restore(bed: BackupBed, world: CountersWorld, { folder, manifestKey }: BackupResult): Promise<void> {
  restores += 1;
  const stagingDir = join(bed.staging, `restore-${restores}`);
  const preRestore = bed.describe(world.datastores, {
    class: "pre-restore",
    nameTemplate: `pre_restore_${restores}`,
    stagingDir: join(stagingDir, "pre-restore"),
  });
  mkdirSync(preRestore.stagingDir, { recursive: true, mode: 0o711 });
  const setup = {
    host: "host",
    version: "0.0.0",
    stagingDir,
    restoreId: createId(Date.now()),
    address: { destination: preRestore.destination, folder, key: manifestKey, lone: false },
    job: "nightly",
    members: world.datastores.map(({ name, options }) => ({ datastore: name, options })),
    stop: [],
    start: [],
    check: [],
    journalDir: join(bed.dir, "restores"),
    preRestore,
    unsavable: "refuse",
  } as const;
  await runRestore(setup, { now: Date.now, progress: () => undefined, log: () => undefined }, never);
}

/** Backs up under writes, then restores each backup and reads the counters. */
async function collectCounters(redis: "bgsave" | "replication", consistency: "group" | "each"): Promise<readonly (readonly number[])[]> {
  await using bed = await openBackupBed();
  await using world = await openCountersWorld(bed.dir, { redis });
  const group: HoldSetup = { engage: [world.freeze], release: [world.thaw], limitMs: 60_000 };
  const backups: BackupResult[] = [];
  {
    await using _application = await world.start();
    for (let round = 0; round < rounds; round += 1) {
      const stagingDir = join(bed.staging, `backup-${round}`);
      mkdirSync(stagingDir, { mode: 0o711 });
      const facts = { stagingDir, nameTemplate: `b${round}`, layout: round % 2 === 0 ? "directory" : "archive" } as const;
      backups.push(await bed.run(bed.describe(world.datastores, consistency === "group" ? { ...facts, group } : facts)));
    }
  }
  const found: (readonly number[])[] = [];
  for (const backup of backups) {
    if (consistency === "group") {
      assert.ok(backup.manifest.group !== undefined && backup.manifest.group.frozenMs > 0);
      assert.deepEqual([backup.manifest.status, backup.manifest.members.length], ["ok", 4]);
      for (const { datastore, notes } of backup.manifest.members) assert.deepEqual([datastore, notes], [datastore, []]);
    }
    await restore(bed, world, backup);
    found.push(world.read());
  }
  return found;
}

for (const redis of ["bgsave", "replication"] as const)
  test(`every backup of a group that is made under writes restores to one state of all four (redis by ${redis})`, async () => {
    const found = await collectCounters(redis, "group");
    for (const counters of found) assert.equal(new Set(counters).size, 1, JSON.stringify(found));
    assert.equal(new Set(found.flat()).size, rounds, "the application went on between the backups");
  });

test("without a group the same application's backups restore to several states: the test above can fail", async () => {
  const found = await collectCounters("bgsave", "each");
  assert.ok(
    found.some((counters) => Math.max(...counters) - Math.min(...counters) > 1),
    JSON.stringify(found),
  );
});
