import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openControlBed } from "../../test/support/control.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { acquireLocks } from "../queue/locks.ts";
import { identifyDatastores } from "./find-config.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { readStatus } from "./read-status.ts";
import { createRestoreJournal } from "./restore-journal.ts";
import { RestoreRetry } from "./retry-restores.ts";
import { clearStuck, noteStuck } from "./stuck-restores.ts";

const never = new AbortController().signal;

test("F59 a stuck restore is tried again after a minute, then with pauses that double up to ten minutes; it is told once", async () => {
  await using bed = await openControlBed();
  const { core } = bed;
  const pauses = Array.from({ length: 6 }, () => {
    noteStuck(core, { id: "r1", job: "nightly", message: "in the way" }, "untold");
    return Math.round(((core.stuckRestores.get("r1")?.dueAtMs ?? 0) - core.clock.monotonic()) / 60_000);
  });
  assert.deepEqual(pauses, [1, 2, 4, 8, 10, 10]);
  const alarms = (): readonly string[] => [...core.catalog.alarms.list().keys()];
  assert.deepEqual(alarms(), ["restore-stuck:r1"]);
  const { state, unfinishedRestores, restores } = readStatus(core);
  assert.equal(state, "failed");
  assert.match(unfinishedRestores[0] ?? "", /^The restore r1 is not finished: .*in the way$/);
  assert.deepEqual([restores[0]?.state, restores[0]?.phase, restores[0]?.application], ["stuck", "locked", "untouched"]);
  clearStuck(core, { id: "r1", job: "nightly", message: "" });
  assert.deepEqual([core.stuckRestores.size, alarms()], [0, []]);
  assert.deepEqual(readStatus(core).restores, []);
});

test("F59 F60 a stuck restore is tried again only when nobody has its datastores, and its end is noted", async () => {
  await using bed = await openControlBed();
  const { core, dir } = bed;
  const { stateDir, runtimeDir } = core.config.settings;
  {
    await using journal = await createRestoreJournal(restoreJournalDir(stateDir), "r2");
    await journal.append({ type: "begin", at: "now", id: "r2", backup: "b", job: "nightly", datastores: ["files"], start: [], stop: [] });
  }
  noteStuck(core, { id: "r2", job: "nightly", message: "in the way" }, "untold");
  await using retry = new RestoreRetry(core);
  const keys = await identifyDatastores(core.config, ["files"], never);
  {
    using _locks = await acquireLocks({ directory: join(runtimeDir, "locks"), keys, holder: "a backup" }, never);
    retry.tryNow();
    await retry.settled();
    assert.equal(core.stuckRestores.get("r2")?.failures, 1, "a lock of somebody else's is no failure");
  }
  retry.look();
  await retry.settled();
  assert.ok(core.stuckRestores.has("r2"), "it is not due yet");
  retry.tryNow();
  await waitUntil("the end of the restore", () => !core.stuckRestores.has("r2"));
  assert.deepEqual(readStatus(core).unfinishedRestores, []);
  // One that cannot be read stays until somebody has looked at it.
  mkdirSync(join(dir, "state/restores"), { recursive: true });
  const damaged = join(dir, "state/restores/r3.restore.jsonl");
  writeFileSync(damaged, '{"type":"future"}\n');
  noteStuck(core, { id: "r3", job: "", message: "cannot be read" }, "untold");
  retry.tryNow();
  await retry.settled();
  assert.equal(core.stuckRestores.get("r3")?.failures, 2);
  rmSync(damaged);
  retry.tryNow();
  await retry.settled();
  assert.equal(core.stuckRestores.size, 0);
});
