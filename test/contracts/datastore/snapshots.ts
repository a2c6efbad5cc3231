import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents } from "../../../src/base/contents.ts";
import { findDatastoreDriver } from "../../../src/datastores/registry.ts";
import { checkAll, dumpAll, listChildren, makeContext, makeTestDirectory, quiet, restoreAll } from "../../support/datastore.ts";
import type { DatastoreFixture } from "./fixture.ts";

/** What every datastore does that can fix its state before it is dumped. */
export function describeSnapshots(fixture: DatastoreFixture): void {
  const driver = findDatastoreDriver(fixture.kind);

  test("a dump after a snapshot holds what was there then, and nothing that was written later; the snapshot's signal has no say in it", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const read = (): Promise<string> => source.readSnapshotData?.() ?? source.readData();
    const data = await read();
    const plain = await checkAll(driver, (await dumpAll(driver, source.options, directory)).entries, directory);
    const context = makeContext(directory);
    const { entries, notes } = await dumpAll(driver, source.options, directory, { context, afterSnapshot: () => source.change() });
    assert.deepEqual(readdirSync(context.stagingDir), []);
    assert.deepEqual(
      notes.filter(({ level }) => level === "partial"),
      [],
    );
    assert.ok((await read()) !== data);
    const { contents } = await checkAll(driver, entries, directory);
    assert.deepEqual(compareContents(plain.contents, contents), []);
    const { steps } = await restoreAll(driver, source.options, directory, entries);
    assert.ok((await read()) === data, "the restored data is other than at the snapshot");
    await driver.settle(steps, quiet, source.options);
  });

  test("a snapshot that nobody dumps leaves no children and no files", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const before = await source.fingerprint();
    const children = listChildren();
    const context = makeContext(directory);
    {
      await using datastore = await driver.configure(source.options).open(context);
      assert.ok(datastore.snapshot !== undefined);
      await datastore.snapshot(quiet);
    }
    assert.deepEqual(listChildren(), children);
    assert.deepEqual(readdirSync(context.stagingDir), []);
    assert.equal(await source.fingerprint(), before);
  });

  test("a dump after a snapshot that its reader leaves early leaves no children and no files", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const context = makeContext(directory);
    {
      await using datastore = await driver.configure(source.options).open(context);
      await datastore.snapshot?.(quiet);
      const dump = datastore.dump(quiet);
      const next = await dump.next();
      if (next.done !== true && next.value.body.kind === "stream") for await (const _ of next.value.body.open(quiet)) break;
      await dump.return({ checked: false, notes: [], absent: false });
    }
    assert.deepEqual(listChildren(), children);
    assert.deepEqual(readdirSync(context.stagingDir), []);
  });

  test("a snapshot that is aborted ends as cancelled, without children and files", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const abort = new AbortController();
    const context = makeContext(directory, { progress: () => abort.abort() });
    {
      await using datastore = await driver.configure(source.options).open(context);
      abort.abort();
      await assert.rejects(async () => datastore.snapshot?.(abort.signal), { code: "cancelled" });
    }
    assert.deepEqual(listChildren(), children);
    assert.deepEqual(readdirSync(context.stagingDir), []);
  });

  test("a snapshot of an optional source that is not there gives an absent member", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    await source.remove();
    const { entries, facts } = await dumpAll(driver, source.optionalOptions, directory, { afterSnapshot: () => Promise.resolve() });
    assert.deepEqual([facts.absent, entries.length], [true, 0]);
  });
}
