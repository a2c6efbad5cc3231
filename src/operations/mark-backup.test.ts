import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { withDestination, type DestinationBed } from "../../test/support/destination-bed.ts";
import type { BackupEvent } from "../archive/events.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { completeFailure } from "./complete-task.ts";
import { assertNoneUnfinished } from "./find-blocking.ts";
import { createStuckError } from "./finish-restore.ts";
import { markBackup } from "./mark-backup.ts";
import type { TaskPayload } from "./payload.ts";
import { createRestoreJournal } from "./restore-journal.ts";
import { syncDestination } from "./sync-destination.ts";

const never = new AbortController().signal;
let seconds = Date.parse("2030-01-01T00:00:00Z");
const at = (): string => formatInstant((seconds += 1000));

function read({ backups, made }: DestinationBed, index = 0): CatalogBackup {
  const backup = backups.get("local", made[index]?.manifest.id ?? "");
  assert.ok(backup !== undefined);
  return backup;
}

const mark = (bed: DestinationBed, event: BackupEvent): Promise<CatalogBackup> => markBackup(bed.core, read(bed), event, never);

test("prop-I4 whatever is marked in whatever order, the catalog says what a rebuild says", async () => {
  await withDestination(async (bed) => {
    const events = fc.constantFrom<BackupEvent["event"]>(
      "pinned",
      "unpinned",
      "verified",
      "drilled",
      "drill-failed",
      "damaged",
      "accepted",
      "note",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(events, { minLength: 1, maxLength: 6 }), async (names) => {
        for (const event of names) {
          const full = { at: at(), event, reason: event, text: event, tookMs: 5, datastores: ["memory"], destination: "x", objects: [] };
          await mark(bed, full);
        }
        const { changed, added, vanished } = await syncDestination(bed.core, "local", never);
        assert.deepEqual([changed, added, vanished], [[], [], []]);
      }),
      { numRuns: 25 },
    );
  });
});

test("F66 a verification does not take back that a drill failed, nor a drill what a verification found", async () => {
  await withDestination(async (bed) => {
    await mark(bed, { at: at(), event: "drill-failed", reason: "other contents" });
    await mark(bed, { at: at(), event: "verified", tookMs: 1 });
    assert.equal(read(bed).damaged, "other contents");
    await mark(bed, { at: at(), event: "drilled", tookMs: 1, datastores: ["memory"] });
    assert.equal(read(bed).damaged, null);
    await mark(bed, { at: at(), event: "damaged", reason: "bit rot" });
    await mark(bed, { at: at(), event: "drilled", tookMs: 1, datastores: ["memory"] });
    assert.equal(read(bed).damaged, "bit rot");
    await mark(bed, { at: at(), event: "verified", tookMs: 1 });
    assert.equal(read(bed).damaged, null);
  });
});

test("F66 a backup whose manifest cannot be read stays damaged when it is pinned, and a torn line loses no mark", async () => {
  await withDestination(async (bed) => {
    const { manifestKey, name } = read(bed);
    const whole = readFileSync(join(bed.vault, manifestKey));
    writeFileSync(join(bed.vault, manifestKey), whole.subarray(0, 50));
    await syncDestination(bed.core, "local", never);
    const { damaged } = read(bed);
    assert.notEqual(damaged, null);
    assert.equal((await mark(bed, { at: at(), event: "pinned", reason: "look at it" })).damaged, damaged);
    appendFileSync(join(bed.vault, `${name}.events.jsonl`), '{"at":"2030-01-01T00:00');
    assert.deepEqual([(await mark(bed, { at: at(), event: "note", text: "torn" })).pinned, read(bed).damaged], ["look at it", damaged]);
  });
});

test("F66 damage that a restore finds is remembered like that of a verification, an obstacle is not", async () => {
  await withDestination(async (bed) => {
    const { id, job } = read(bed);
    const address = { job, destination: "local", backupId: id };
    const restore: TaskPayload = {
      ...address,
      operation: "restore",
      restoreId: "r",
      datastores: ["memory"],
      unsavable: "refuse",
      start: "yes",
      undoes: null,
    };
    const fail = (code: "backup-damaged" | "target-in-use", operation: "verify" | "restore") =>
      completeFailure(
        bed.core,
        operation === "restore" ? restore : { ...address, operation },
        new HoldfastError(code, `it is ${code}`),
        never,
      );
    await fail("target-in-use", "restore");
    assert.equal(read(bed).damaged, null);
    await fail("backup-damaged", "restore");
    assert.equal(read(bed).damaged, "it is backup-damaged");
    await syncDestination(bed.core, "local", never);
    assert.equal(read(bed).damaged, "it is backup-damaged");
  });
});

test("F59 a restore that was refused because another one is unfinished does not stand as unfinished itself", async () => {
  await withDestination(async (bed) => {
    const { id, job, name } = read(bed);
    const { restores } = bed.core.catalog;
    const address = { job, destination: "local", backupId: id, datastores: ["memory"] };
    const fail = async (restoreId: string, error: HoldfastError) => {
      restores.put({
        id: restoreId,
        runId: "run",
        job,
        backupId: id,
        backupName: name,
        destination: "local",
        datastores: ["memory"],
        startedAtMs: 1,
        state: "running",
      });
      const restore: TaskPayload = { ...address, operation: "restore", restoreId, unsavable: "refuse", start: "yes", undoes: null };
      await completeFailure(bed.core, restore, error, never);
      return restores.get(restoreId)?.state;
    };
    assert.equal(await fail("stuck", createStuckError("stuck", new Error("one"), new Error("two"))), "failed");
    const journals = join(bed.vault, "..", "journals");
    await using journal = await createRestoreJournal(journals, "stuck");
    await journal.append({ type: "begin", at: at(), id: "stuck", backup: name, job, datastores: ["memory"], start: [], stop: [] });
    const refused = await assertNoneUnfinished(journals, [{ name: "memory", key: undefined }]).catch((error: unknown) => error);
    assert.ok(refused instanceof HoldfastError);
    assert.equal(await fail("refused", refused), "rolled-back");
  });
});
