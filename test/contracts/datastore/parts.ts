import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents, pickContents } from "../../../src/base/contents.ts";
import type { SwapStep } from "../../../src/datastores/contract.ts";
import { findDatastoreDriver } from "../../../src/datastores/registry.ts";
import { checkAll, dumpAll, makeTestDirectory, quiet, restoreAll } from "../../support/datastore.ts";
import { findLeftovers, type DatastoreFixture, type DatastoreSource, type PartsSource } from "./fixture.ts";

class Stop extends Error {}

/** What every datastore does that can restore a part of itself. */
export function describeParts(fixture: DatastoreFixture): void {
  const driver = findDatastoreDriver(fixture.kind);

  test("a driver that declares parts has a source with parts", async (t) => {
    await using source = await fixture.openSource(join(makeTestDirectory(t), "source"));
    assert.equal(source.parts === undefined, driver.parts === undefined);
  });
  if (driver.parts === undefined) return;

  async function openParts(directory: string): Promise<{ readonly source: DatastoreSource; readonly parts: PartsSource }> {
    const source = await fixture.openSource(join(directory, "source"));
    assert.ok(source.parts !== undefined);
    return { source, parts: source.parts };
  }

  test("A6 G6 a part comes back as it was backed up, and the rest stays as it is; a roll-back and a settlement are for good", async (t) => {
    const directory = makeTestDirectory(t);
    const { source, parts } = await openParts(directory);
    await using _ = source;
    const { entries: dumped } = await dumpAll(driver, source.options, directory);
    const { contents } = await checkAll(driver, dumped, directory);
    const entries = dumped.map((entry) => ({ ...entry, contents }));
    const old = parts.readPart();
    parts.change();
    const [changed, rest] = [parts.readPart(), parts.readRest()];
    assert.notEqual(changed, old);
    const restoring = { parts: { parts: parts.names, beyond: "keep" as const } };
    const first = await restoreAll(driver, source.options, directory, entries, restoring);
    for (const found of [first.staged, first.found])
      assert.deepEqual(compareContents(first.expected ?? pickContents(contents, found), found), []);
    assert.ok(Object.keys({ ...first.found.counts, ...first.found.digests }).length > 0, "something is compared");
    assert.deepEqual([parts.readPart(), parts.readRest()], [old, rest]);
    for (const _again of [1, 2]) {
      await driver.rollBack(first.steps, quiet, source.options);
      assert.deepEqual([parts.readPart(), parts.readRest()], [changed, rest]);
    }
    assert.deepEqual(await findLeftovers(source, directory), []);
    const second = await restoreAll(driver, source.options, directory, entries, restoring);
    for (const _again of [1, 2]) await driver.settle(second.steps, quiet, source.options);
    assert.deepEqual([parts.readPart(), parts.readRest()], [old, rest]);
    assert.deepEqual(await findLeftovers(source, directory), []);
  });

  test("a part that the backup does not have is refused before anything is touched", async (t) => {
    const directory = makeTestDirectory(t);
    const { source, parts } = await openParts(directory);
    await using _ = source;
    const { entries } = await dumpAll(driver, source.options, directory);
    parts.change();
    const before = [parts.readPart(), parts.readRest()];
    const restoring = { parts: { parts: [...parts.names, "nowhere to be found"] } };
    await assert.rejects(restoreAll(driver, source.options, directory, entries, restoring), /nowhere to be found/);
    assert.deepEqual([parts.readPart(), parts.readRest()], before);
  });

  for (const when of ["before", "after"] as const) {
    test(`G6 F59 a swap of a part that stops ${when} any of its records is rolled back, twice`, async (t) => {
      for (let stopAt = 0, ended = false; !ended; stopAt += 1) {
        const directory = join(makeTestDirectory(t), String(stopAt));
        mkdirSync(directory, { mode: 0o755 });
        const { source, parts } = await openParts(directory);
        await using _ = source;
        const { entries } = await dumpAll(driver, source.options, directory);
        parts.change();
        const before = [parts.readPart(), parts.readRest()];
        const recorded: SwapStep[] = [];
        ended = true;
        const record = (step: SwapStep): void => {
          const stops = recorded.length === stopAt;
          if (!stops || when === "after") recorded.push(JSON.parse(JSON.stringify(step)) as SwapStep);
          if (!stops) return;
          ended = false;
          throw new Stop();
        };
        await restoreAll(driver, source.options, directory, entries, { parts: { parts: parts.names }, record }).catch((error: unknown) => {
          if (!(error instanceof Stop)) throw error;
        });
        for (const time of ["once", "twice"]) {
          await driver.rollBack(recorded, quiet, source.options);
          assert.deepEqual([parts.readPart(), parts.readRest()], before, `rolled back ${time}, stopped ${when} record ${stopAt}`);
        }
        assert.deepEqual(await findLeftovers(source, directory), []);
        assert.ok(stopAt < 100);
      }
    });
  }
}
