import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import Database from "better-sqlite3";
import { createBackup, createRun, withCatalog } from "../../test/support/catalog.ts";
import { openCatalog } from "./open-catalog.ts";

test("F11 a missing catalog is an error, never an empty one silently", () => {
  withCatalog((_, path) => {
    assert.throws(() => openCatalog({ path: `${path}.other` }), { code: "state-corrupt", message: `The catalog ${path}.other is missing` });
    assert.ok(!existsSync(`${path}.other`));
  });
});

test("F11 a damaged, truncated or newer catalog and one of another program are refused and not changed", () => {
  withCatalog((catalog, path) => {
    for (let number = 1; number <= 30; number += 1) catalog.backups.put(createBackup(number));
    catalog[Symbol.dispose]();
    const whole = `${path}.whole`;
    copyFileSync(path, whole);
    const { size } = statSync(whole);
    const assertRefused = (code: string, damage: () => void): void => {
      for (const leftover of ["-wal", "-shm"]) rmSync(path + leftover, { force: true });
      copyFileSync(whole, path);
      damage();
      const before = readFileSync(path);
      assert.throws(() => openCatalog({ path, whenMissing: "create" }), { code });
      assert.deepEqual(readFileSync(path), before);
    };
    for (let bytes = 0; bytes < size; bytes += 4_096) assertRefused("state-corrupt", () => truncateSync(path, bytes));
    assertRefused("state-corrupt", () => writeFileSync(path, readFileSync(whole).fill(0xff, 4_096, 4_160)));
    assertRefused("state-corrupt", () => writeFileSync(path, readFileSync(whole, "latin1").replaceAll('{"id"', ' "id"'), "latin1"));
    assertRefused("state-newer", () => {
      const database = new Database(path);
      database.pragma("user_version = 99");
      database.close();
    });
    copyFileSync(whole, path);
    using again = openCatalog({ path });
    assert.equal(again.backups.find().length, 30);
  });
});

test("what was written is there after the catalog was opened again", () => {
  withCatalog((catalog, path) => {
    catalog.backups.put(createBackup(1));
    catalog.runs.start(createRun("r1"));
    catalog.slots.ensureSeen("nightly", "backup", 5);
    catalog.meta.set("clock", "7");
    catalog[Symbol.dispose]();
    using again = openCatalog({ path });
    assert.deepEqual(again.backups.find(), [createBackup(1)]);
    assert.equal(again.runs.get("r1")?.state, "running");
    assert.deepEqual(again.slots.get("nightly", "backup"), { firstSeenMs: 5 });
    assert.equal(again.meta.get("clock"), "7");
  });
});

test("F1 changes of several parts happen all or not at all, nested too", () => {
  withCatalog((catalog) => {
    const fail = () =>
      catalog.transact(() => {
        catalog.backups.put(createBackup(1));
        catalog.runs.start(createRun("r1"));
        throw new Error("power cut");
      });
    assert.throws(fail, /power cut/);
    assert.deepEqual([catalog.backups.find(), catalog.runs.list()], [[], []]);
    catalog.transact(() => {
      catalog.runs.start(createRun("r2"));
      assert.throws(fail, /power cut/);
    });
    assert.deepEqual([catalog.backups.find().length, catalog.runs.list().map(({ id }) => id)], [0, ["r2"]]);
  });
});

test("F11 damage that happens while the catalog is open is told as such by reading and writing alike", () => {
  withCatalog((catalog, path) => {
    const other = new Database(path);
    // Not even SQLite itself may write these tables otherwise.
    other.unsafeMode(true);
    other.pragma("writable_schema = ON");
    other.exec("UPDATE sqlite_schema SET rootpage = 9999 WHERE type = 'table'");
    other.pragma("schema_version = 1000");
    other.close();
    for (const use of [
      () => catalog.meta.set("clock", "1"),
      () => catalog.meta.get("clock"),
      () => catalog.alarms.list(),
      () => catalog.transact(() => catalog.slots.forget("nightly")),
    ]) {
      assert.throws(use, { code: "state-corrupt" }, String(use));
    }
  });
});
