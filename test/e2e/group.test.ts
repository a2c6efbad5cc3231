import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CatalogBackup } from "../../src/catalog/contract.ts";
import { createRunBed, killWorkers, type RunBed } from "../support/daemon-runs.ts";
import { waitUntil } from "../support/wait-until.ts";

// The application is frozen while DIR/frozen is there. What freezes it goes on only when DIR/go is there, so that it can be killed meanwhile.
const jobs = `  nightly:
    datastores: [one, two]
    destination: local
    consistency: group
    freeze: [{ shell: ": > DIR/frozen" }, { shell: "while [ ! -e DIR/go ]; do sleep 0.02; done" }]
    thaw: { shell: "rm -f DIR/frozen; echo x >> DIR/thaws" }
    retry: { attempts: 1 }
`;

async function createGroupBed(): Promise<RunBed> {
  const bed = await createRunBed(jobs);
  await bed.writeConfig((await readFile(bed.configPath, "utf8")).replaceAll("DIR", bed.dir));
  return bed;
}

const isFrozen = (bed: RunBed): boolean => existsSync(join(bed.dir, "frozen"));
const letGo = (bed: RunBed): void => writeFileSync(join(bed.dir, "go"), "");

async function askAndFreeze(bed: RunBed): Promise<string> {
  const task = await bed.ask("nightly");
  await waitUntil("a frozen application", () => isFrozen(bed), { pollMs: 5 });
  return task;
}

function killWorker(task: string): void {
  assert.ok(killWorkers(task) > 0, "there is a worker");
}

describe("a group by the daemon", () => {
  test("is one restore point, which list and show tell of, and check knows its commands", async () => {
    await using bed = await createGroupBed();
    const checked = await bed.holdfast(["check"]);
    assert.match(checked.stdout, /freeze command of nightly/);
    assert.match(checked.stdout, /thaw command of nightly/);
    await using _daemon = await bed.start();
    letGo(bed);
    assert.equal((await bed.end(await bed.ask("nightly"))).state, "done");
    assert.equal(isFrozen(bed), false);
    const [backup] = await bed.json<readonly CatalogBackup[]>(["list"]);
    assert.ok(backup?.group !== undefined && backup.group.firstAtMs <= backup.group.lastAtMs && backup.group.frozenMs > 0);
    assert.deepEqual(
      backup.members.map(({ snapshot }) => snapshot?.copying),
      ["live", "live"],
    );
    const shown = await bed.holdfast(["show"]);
    assert.match(shown.stdout, /group +one restore point of all datastores: .* the application was frozen for /);
  });

  test("F4 kill -9 of the worker while it is frozen: it is thawed, and the run has failed", async () => {
    await using bed = await createGroupBed();
    await using _daemon = await bed.start();
    const task = await askAndFreeze(bed);
    killWorker(task);
    letGo(bed);
    await waitUntil("the thaw", () => !isFrozen(bed));
    await bed.end(task);
    assert.deepEqual(
      (await bed.runs()).map(({ state }) => state),
      ["failed"],
    );
    assert.equal((await bed.json<readonly CatalogBackup[]>(["list"])).length, 0);
  });

  test("F1 kill -9 of the daemon while it is frozen: it is thawed without the next one", async () => {
    await using bed = await createGroupBed();
    const daemon = await bed.start();
    await askAndFreeze(bed);
    await daemon.kill();
    letGo(bed);
    await waitUntil("the thaw", () => !isFrozen(bed));
  });
});
