import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../../../src/base/errors.ts";
import type { SwapStep } from "../../../src/datastores/contract.ts";
import { findDatastoreDriver } from "../../../src/datastores/registry.ts";
import { dumpAll, makeContext, makeTestDirectory, quiet, readEntry, restoreAll, type Dumped } from "../../support/datastore.ts";
import type { StageRequest } from "../../fixtures/programs/stage-restore.ts";
import { findLeftovers, type DatastoreFixture } from "./fixture.ts";

const program = new URL("../../fixtures/programs/stage-restore.ts", import.meta.url).pathname;

/** What is left when a restore's process is killed while it stages beside the target. */
export function describeStaging(fixture: DatastoreFixture): void {
  const driver = findDatastoreDriver(fixture.kind);

  // Before a restore of these only what is stored is verified: the hashes of what it holds are read here for the first time.
  if (driver.stageChecks !== undefined || driver.refuseHostileTree !== undefined) {
    test("E1 G6 bytes that turn out to be others at their very end are refused, and the target is as it was", async (t) => {
      const directory = makeTestDirectory(t);
      await using source = await fixture.openSource(join(directory, "source"));
      const { entries } = await dumpAll(driver, source.options, directory);
      await source.change();
      const data = await source.readData();
      const spoilt = entries.map((entry) => ({ ...entry, open: (signal: AbortSignal) => failAtEnd(entry.open(signal)) }));
      await assert.rejects(restoreAll(driver, source.options, directory, spoilt), { code: "backup-damaged" });
      assert.equal(await source.readData(), data);
      assert.deepEqual(await findLeftovers(source, directory), []);
    });
  }

  for (const [when, share] of [
    ["begins to stage", 0],
    ["has staged a half", 0.5],
    ["has staged all", 2],
  ] as const) {
    for (const end of ["rollBack", "settle"] as const) {
      test(`F1 G6 a process that is killed when it ${when} leaves nothing after ${end}, and the target as it was`, async (t) => {
        const directory = makeTestDirectory(t);
        await using source = await fixture.openSource(join(directory, "source"));
        const { entries } = await dumpAll(driver, source.options, directory);
        await source.change();
        const data = await source.readData();
        const steps = await killStaging(fixture.kind, source.options, directory, entries, share);
        if (share > (fixture.staging === "after-reading" ? 1 : 0))
          assert.notDeepEqual(await findLeftovers(source, directory), [], "there was something to remove");
        for (let time = 1; time <= 2; time += 1) {
          await driver[end](steps, quiet, source.options);
          assert.deepEqual(await findLeftovers(source, directory), []);
          assert.equal(await source.readData(), data);
        }
      });
    }
  }
}

async function* failAtEnd(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* body;
  throw new HoldfastError("backup-damaged", "its hash is another than its manifest states");
}

async function killStaging(
  kind: string,
  options: unknown,
  directory: string,
  entries: Dumped["entries"],
  share: number,
): Promise<readonly SwapStep[]> {
  const stored: StageRequest["entries"][number][] = [];
  for (const [index, { open: _, ...entry }] of entries.entries()) {
    const bodyPath = join(directory, `body-${index}`);
    writeFileSync(bodyPath, await readEntry(entries[index]));
    stored.push({ ...entry, bodyPath });
  }
  const stepsPath = join(directory, "steps");
  const stopAtBytes = share * stored.reduce((sum, { bytes }) => sum + bytes, 0);
  const { stagingDir } = makeContext(directory);
  const requestPath = join(directory, "request");
  writeFileSync(requestPath, JSON.stringify({ kind, options, stagingDir, entries: stored, stepsPath, stopAtBytes } satisfies StageRequest));
  // A group of its own, to be killed as a whole, as workers are.
  const child = spawn(process.execPath, [program, requestPath], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  const ended = once(child, "close");
  const [said] = (await Promise.race([once(child.stdout, "data"), ended])) as [unknown];
  assert.equal(String(said), "waiting\n");
  process.kill(-(child.pid ?? 0), "SIGKILL");
  await ended;
  const lines = existsSync(stepsPath) ? readFileSync(stepsPath, "utf8").trim().split("\n") : [];
  return lines.map((line) => JSON.parse(line) as SwapStep);
}
