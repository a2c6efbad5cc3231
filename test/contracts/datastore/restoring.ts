import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents } from "../../../src/base/contents.ts";
import type { SwapStep } from "../../../src/datastores/contract.ts";
import { findDatastoreDriver } from "../../../src/datastores/registry.ts";
import { checkAll, dumpAll, each, listChildren, makeContext, makeTestDirectory, quiet, restoreAll } from "../../support/datastore.ts";
import { findLeftovers, type DatastoreFixture, type DatastoreSource } from "./fixture.ts";

class Stop extends Error {}

/** What every datastore does when it is restored, and when a restore stops at any step. */
export function describeRestoring(fixture: DatastoreFixture): void {
  const driver = findDatastoreDriver(fixture.kind);

  test("G6 a restore to the original place gives the same contents, at every look", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const { entries: dumped } = await dumpAll(driver, source.options, directory);
    const { contents } = await checkAll(driver, dumped, directory);
    const entries = dumped.map((entry) => ({ ...entry, contents }));
    const data = await source.readData();
    await source.change();
    assert.notEqual(await source.readData(), data);
    const { staged, found, steps } = await restoreAll(driver, source.options, directory, entries);
    assert.deepEqual(compareContents(contents, staged), []);
    assert.deepEqual(compareContents(contents, found), []);
    assert.equal(await source.readData(), data);
    await driver.settle(steps, quiet, source.options);
    await driver.settle(steps, quiet, source.options);
    assert.equal(await source.readData(), data);
    assert.deepEqual(await findLeftovers(source, directory), []);
    assert.deepEqual(listChildren(), children);
  });

  test("W13 a restore into a directory leaves the original alone, and needs no config", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const { entries } = await dumpAll(driver, source.options, directory);
    const { contents } = await checkAll(driver, entries, directory);
    const before = await source.fingerprint();
    const path = join(directory, "drill");
    mkdirSync(path, { mode: 0o700 });
    const { found } = await restoreAll(driver, driver.deriveOptions(entries), directory, entries, { target: { kind: "directory", path } });
    assert.deepEqual(compareContents(contents, found), []);
    assert.equal(await source.fingerprint(), before);
    assert.deepEqual((await driver.configure(driver.deriveOptions(entries)).identify(quiet)).paths.length > 0, true);
  });

  test("G6 a restore whose staging is closed before the swap has touched nothing", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const { entries } = await dumpAll(driver, source.options, directory);
    const before = await source.readData();
    {
      await using datastore = await driver.configure(source.options).open(makeContext(directory));
      await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
      await session.stage(each(entries), quiet);
    }
    assert.equal(await source.readData(), before);
    assert.deepEqual(await findLeftovers(source, directory), []);
  });

  test("a restore creates what is not there, and its roll-back removes it again", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const { entries } = await dumpAll(driver, source.options, directory);
    const data = await source.readData();
    await source.remove();
    const nothing = await source.readData();
    const { steps } = await restoreAll(driver, source.options, directory, entries);
    assert.equal(await source.readData(), data);
    await driver.rollBack(steps, quiet, source.options);
    assert.equal(await source.readData(), nothing);
    assert.deepEqual(await findLeftovers(source, directory), []);
  });

  test("an absence is re-created, and rolled back", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const data = await source.readData();
    const { steps } = await restoreAll(driver, source.optionalOptions, directory, [], { absent: true });
    assert.equal((await dumpAll(driver, source.optionalOptions, directory)).facts.absent, true);
    await driver.rollBack(steps, quiet, source.options);
    assert.equal(await source.readData(), data);
    assert.deepEqual(await findLeftovers(source, directory), []);
  });

  for (const when of ["before", "after"] as const) {
    test(`G6 a swap that stops ${when} any of its records is rolled back, twice`, async (t) => {
      for (let stopAt = 0, ended = false; !ended; stopAt += 1) {
        const directory = join(makeTestDirectory(t), String(stopAt));
        mkdirSync(directory, { mode: 0o755 });
        await using source = await fixture.openSource(join(directory, "source"));
        ended = await stopAndRollBack(source, directory, stopAt, when);
        assert.deepEqual(await findLeftovers(source, directory), []);
        assert.ok(stopAt < 100);
      }
    });
  }

  async function stopAndRollBack(source: DatastoreSource, directory: string, stopAt: number, when: "before" | "after"): Promise<boolean> {
    const { entries } = await dumpAll(driver, source.options, directory);
    await source.change();
    const data = await source.readData();
    const recorded: SwapStep[] = [];
    let ended = true;
    const record = (step: SwapStep): void => {
      const stops = recorded.length === stopAt;
      if (!stops || when === "after") recorded.push(JSON.parse(JSON.stringify(step)) as SwapStep);
      if (!stops) return;
      ended = false;
      throw new Stop();
    };
    await restoreAll(driver, source.options, directory, entries, { record }).catch((error: unknown) => {
      if (!(error instanceof Stop)) throw error;
    });
    await driver.rollBack(recorded, quiet, source.options);
    assert.equal(await source.readData(), data, `stopped ${when} record ${stopAt}`);
    await driver.rollBack(recorded, quiet, source.options);
    assert.equal(await source.readData(), data, `rolled back twice, stopped ${when} record ${stopAt}`);
    return ended;
  }
}
