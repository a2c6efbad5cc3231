import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withDestination, type DestinationBed } from "../../test/support/destination-bed.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { completeFailure } from "./complete-task.ts";
import { markBackup } from "./mark-backup.ts";
import { noticeVanished } from "./notice-vanished.ts";
import { syncDestination } from "./sync-destination.ts";

const never = new AbortController().signal;

function read({ backups, made }: DestinationBed): CatalogBackup {
  const backup = backups.get("local", made[0]?.manifest.id ?? "");
  assert.ok(backup !== undefined);
  return backup;
}

/** A task that reads the backup does not find it. */
async function miss(bed: DestinationBed, operation: "verify" | "drill"): Promise<void> {
  const { id, job } = read(bed);
  const error = new HoldfastError("backup-not-found", "it is missing");
  await completeFailure(bed.core, { operation, job, destination: "local", backupId: id }, error, never);
}

/** @returns what brings it back */
function moveAway({ vault, made }: DestinationBed): () => void {
  const path = join(vault, made[0]?.manifest.name ?? "");
  renameSync(path, `${vault}-away`);
  return () => renameSync(`${vault}-away`, path);
}

for (const [name, seeAgain] of [
  ["a look at the destination", ({ core }: DestinationBed) => noticeVanished(core, "local", never)],
  ["a rebuild", ({ core }: DestinationBed) => syncDestination(core, "local", never)],
  [
    "a verification",
    (bed: DestinationBed) => markBackup(bed.core, read(bed), { at: formatInstant(Date.now()), event: "verified", tookMs: 1 }, never),
  ],
] as const) {
  test(`W12 what a verification or a drill does not find is missing on record, until ${name} sees it again`, async () => {
    await withDestination(async (bed) => {
      for (const operation of ["verify", "drill"] as const) {
        const bringBack = moveAway(bed);
        await miss(bed, operation);
        assert.notEqual(read(bed).missingSinceMs, null);
        bringBack();
        await seeAgain(bed);
        assert.equal(read(bed).missingSinceMs, null);
      }
    });
  });
}

test("F19 a backup that is there, or whose disk is not mounted, is not missing", async () => {
  await withDestination(async (bed) => {
    await miss(bed, "drill");
    assert.equal(read(bed).missingSinceMs, null, "only a part of it was not found");
    moveAway(bed);
    rmSync(bed.vault, { recursive: true });
    await miss(bed, "verify");
    assert.equal(read(bed).missingSinceMs, null);
  });
});

test("W12 a missing backup is forgotten like any other that somebody else has removed", async () => {
  await withDestination(async (bed) => {
    moveAway(bed);
    await miss(bed, "verify");
    const { id } = read(bed);
    await noticeVanished(bed.core, "local", never);
    assert.equal(bed.backups.get("local", id), undefined);
  });
});
