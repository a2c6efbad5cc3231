import assert from "node:assert/strict";
import { lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventsKey, manifestKey, objectKey } from "../../src/archive/backup-keys.ts";
import { openBackup } from "../../src/archive/backup-reader.ts";
import { endProcessGroup } from "../../src/base/process-group.ts";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import { runDrill } from "../../src/operations/drill.ts";
import { finishRestores, type FinishedRestore } from "../../src/operations/finish-restore.ts";
import { finishRemovals } from "../../src/operations/remove-backups.ts";
import { findUnfinishedRestores } from "../../src/operations/restore-journal.ts";
import { findBackups } from "../../src/operations/sync-destination.ts";
import { runVerify } from "../../src/operations/verify.ts";
import { addressBackup, never, quietPorts, readData, worldPaths, type SmallWorld } from "./small-world.ts";

/** What the daemon does at its start, as far as a world without a catalog and a queue has it (src/daemon/run-daemon.ts). */
export async function restartWorld({ root }: SmallWorld, marker: string): Promise<readonly FinishedRestore[]> {
  const { journals, vault, staging } = worldPaths(root);
  await endProcessGroup(undefined, marker, 5_000, never);
  for (const name of readdirSync(staging)) rmSync(join(staging, name), { recursive: true });
  const finished = await finishRestores(journals, quietPorts, never);
  await using destination = await localDestination.configure({ path: vault }).open({ name: "local" });
  await destination.recover(() => false, never);
  await finishRemovals(destination, never);
  return finished;
}

export interface Expected {
  /** Where it happened, for messages. */
  readonly where: string;
  /** Ids of backups that must be there. */
  readonly acknowledged: readonly string[];
  /** Ids of backups that may be there; others must not. */
  readonly possible: readonly string[] | "any";
  /** What the application's data may be: all old, or all new. */
  readonly data: readonly string[];
  readonly marker: string;
  /** `kept`: what was there before a restore lies aside, because not all of it could be saved. */
  readonly aside?: "kept";
  /** How far the backups are proven: `drill` restores each into a scratch directory as well. */
  readonly proof: "verify" | "drill";
}

/** The invariants of FAILURES section 4, as far as a world without a daemon has them. To be called after `restartWorld`. */
export async function checkInvariants(world: SmallWorld, expected: Expected): Promise<void> {
  const { where } = expected;
  const { vault, journals, running, staging } = worldPaths(world.root);
  await using destination = await localDestination.configure({ path: vault }).open({ name: "local" });
  const { backups, unreadable } = await findBackups(destination, "", never);
  assert.deepEqual(unreadable, [], `I2 ${where}: manifests that cannot be read`);
  const ids = backups.map(({ id }) => id);
  for (const id of expected.acknowledged) assert.ok(ids.includes(id), `I1 I4 ${where}: the acknowledged backup ${id} is gone`);
  if (expected.possible !== "any") {
    const possible = [...expected.acknowledged, ...expected.possible];
    assert.deepEqual(
      ids.filter((id) => !possible.includes(id)),
      [],
      `I2 ${where}: a backup that was never finished is listed`,
    );
  }
  const referenced = new Set<string>();
  for (const backup of backups) {
    const setup = { host: "host", version: "0", stagingDir: join(staging, "check"), address: addressBackup(world, backup) };
    try {
      await runVerify(setup, quietPorts, never);
      if (expected.proof === "drill") await runDrill(setup, quietPorts, never);
    } catch (error) {
      throw new Error(`I1 I2 ${where}: ${backup.name} does not verify and restore`, { cause: error });
    }
    const { manifest, location } = await openBackup(destination, backup.folder, backup.manifestKey, never);
    referenced.add(manifestKey(location)).add(eventsKey(location));
    const objects = [
      ...manifest.members.flatMap(({ entries }) => entries.map(({ object }) => object)),
      ...manifest.texts.map(({ name }) => name),
    ];
    for (const object of manifest.archive === null ? objects : [manifest.archive.object]) referenced.add(objectKey(location, object));
  }
  rmSync(join(staging, "check"), { recursive: true, force: true });
  checkFiles(vault, referenced, where);
  const data = expected.aside === "kept" ? withoutAreas(readData(world)) : readData(world);
  assert.ok(expected.data.includes(data), `I6 ${where}: the data is neither old nor new:\n${data}\n---\n${expected.data.join("\n---\n")}`);
  assert.ok(lstatSync(running, { throwIfNoEntry: false }) !== undefined, `${where}: the application was not started again`);
  assert.deepEqual(findMarked(expected.marker), [], `I7 ${where}: processes are left`);
  assert.deepEqual(await findUnfinishedRestores(journals), { unfinished: [], unreadable: [] }, `${where}: a restore is not finished`);
  assert.deepEqual(readdirSync(staging), [], `I3 ${where}: something is left in the staging directory`);
}

/** What restores keep beside the data: areas of trees and files, and databases that were moved aside. */
function withoutAreas(data: string): string {
  return data
    .split("\n")
    .filter((line) => !/(^|\/)(\.holdfast-|\.[^/ ]*\.holdfast-aside-)/.test(line))
    .join("\n");
}

/** Every file at the destination is of a published backup, with the modes that are promised (P7). */
function checkFiles(vault: string, referenced: ReadonlySet<string>, where: string): void {
  for (const entry of readdirSync(vault, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const key = path.slice(vault.length + 1);
    if (key === ".holdfast-destination.json") continue;
    const { mode, uid } = lstatSync(path);
    if (entry.isDirectory()) assert.ok(!entry.name.startsWith("."), `I3 ${where}: ${key} is left`);
    else assert.ok(referenced.has(key), `I3 ${where}: ${key} belongs to no backup`);
    assert.equal((mode & 0o7777).toString(8), entry.isDirectory() ? "750" : "640", `I9 ${where}: mode of ${key}`);
    assert.equal(uid, process.getuid?.(), `I9 ${where}: owner of ${key}`);
  }
}

export function findMarked(marker: string): readonly string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/environ`, "latin1").split("\0").includes(`HOLDFAST_TASK=${marker}`);
    } catch {
      return false; // it has ended meanwhile
    }
  });
}
