import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents } from "../../../src/base/contents.ts";
import { HoldfastError, readErrno } from "../../../src/base/errors.ts";
import { findDatastoreDriver } from "../../../src/datastores/registry.ts";
import { checkAll, dumpAll, each, listChildren, makeContext, makeTestDirectory, quiet } from "../../support/datastore.ts";
import type { DatastoreFixture } from "./fixture.ts";

/** What every datastore does when it is read, and when reading goes wrong. */
export function describeDumping(fixture: DatastoreFixture): void {
  const driver = findDatastoreDriver(fixture.kind);

  test("a dump is whole, its check agrees, and the source is as it was", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const before = await source.fingerprint();
    const { entries, facts } = await dumpAll(driver, source.options, directory);
    assert.equal(await source.fingerprint(), before);
    assert.ok(entries.length > 0);
    assert.equal(facts.absent, false);
    const { contents } = await checkAll(driver, entries, directory);
    assert.ok(Object.keys(contents.digests).length > 0);
    if (facts.contents !== undefined) assert.deepEqual(compareContents(facts.contents, contents), []);
    assert.deepEqual(listChildren(), children);
  });

  test("a probe tells what is there and touches nothing", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const before = await source.fingerprint();
    await using datastore = await driver.configure(source.options).open(makeContext(directory));
    const facts = await datastore.probe(quiet);
    assert.equal(facts.absent, false);
    assert.ok((facts.estimatedBytes ?? 0) > 1024 * 1024);
    assert.equal(await source.fingerprint(), before);
  });

  test("a datastore has one key, whether it is there or not", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const configured = driver.configure(source.options);
    const key = await configured.identify(quiet);
    assert.deepEqual(await driver.configure(source.options).identify(quiet), key);
    await source.remove();
    assert.deepEqual((await configured.identify(quiet)).paths, key.paths);
  });

  test("a dump that its reader leaves early stops its children and leaves no file", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const context = makeContext(directory);
    {
      await using datastore = await driver.configure(source.options).open(context);
      const dump = datastore.dump(quiet);
      const next = await dump.next();
      if (next.done !== true && next.value.body.kind === "stream") for await (const _ of next.value.body.open(quiet)) break;
      await dump.return({ checked: false, notes: [], absent: false });
    }
    assert.deepEqual(listChildren(), children);
    assert.deepEqual(readdirSync(context.stagingDir), []);
  });

  test("a dump that is aborted ends as cancelled, without children and files", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const before = await source.fingerprint();
    const abort = new AbortController();
    const { stagingDir } = makeContext(directory);
    const context = { stagingDir, progress: () => abort.abort() };
    await assert.rejects(dumpAll(driver, source.options, directory, { context, signal: abort.signal }), { code: "cancelled" });
    assert.deepEqual(listChildren(), children);
    assert.deepEqual(readdirSync(stagingDir), []);
    assert.equal(await source.fingerprint(), before);
  });

  test("F50 a missing source is an error, an optional one an absence", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    await source.remove();
    await assert.rejects(dumpAll(driver, source.options, directory), { code: "source-missing" });
    const { entries, facts } = await dumpAll(driver, source.optionalOptions, directory);
    assert.deepEqual(entries, []);
    assert.equal(facts.absent, true);
    await using datastore = await driver.configure(source.optionalOptions).open(makeContext(directory));
    assert.equal((await datastore.probe(quiet)).absent, true);
  });

  test("F49 an unreadable source is an error, never an absence", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const context = { stagingDir: join(directory, "staging") };
    mkdirSync(context.stagingDir);
    chmodSync(context.stagingDir, 0o777);
    await source.makeUnreadable();
    for (const options of [source.options, source.optionalOptions]) {
      const isExpected = (error: unknown): boolean => error instanceof HoldfastError && fixture.unreadableCodes.includes(error.code);
      await assert.rejects(dumpAll(driver, options, directory, { context }), isExpected);
    }
  });

  test("F14 a full staging directory is an error that says so", async (t) => {
    const directory = makeTestDirectory(t);
    await using source = await fixture.openSource(join(directory, "source"));
    const children = listChildren();
    const full = join(directory, "full");
    mkdirSync(full);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", full]);
    try {
      fill(join(full, "filler"));
      const stagingDir = join(full, "staging");
      const work = async (): Promise<void> => {
        const { entries } = await dumpAll(driver, source.stagingOptions ?? source.options, directory, { context: { stagingDir } });
        await driver.check(each(entries), makeContext(directory, { stagingDir }), quiet);
      };
      await assert.rejects(work(), { code: "no-space" });
      assert.deepEqual(listChildren(), children);
    } finally {
      execFileSync("umount", ["--lazy", full]);
    }
  });
}

function fill(path: string): void {
  mkdirSync(join(path, "..", "staging"), { mode: 0o700 });
  for (let bytes = 1024 * 1024; bytes >= 1;) {
    try {
      writeFileSync(path, Buffer.alloc(bytes), { flag: "a" });
    } catch (error) {
      if (readErrno(error) !== "ENOSPC") throw error;
      bytes = Math.floor(bytes / 2);
    }
  }
}
