import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dump, execute, makePlace, noSignal, openSqlite, query, startProgram } from "../../../test/support/sqlite.ts";
import { changeTables, listOurs, readTables, restoreTables, tablesSchema, wantedTables } from "../../../test/support/sqlite-tables.ts";
import type { HoldfastError } from "../../base/errors.ts";
import { sqliteDriver } from "./sqlite.ts";

for (const mode of ["wal", "delete"]) {
  test(`A6 G6 tables of every make come back with indexes, triggers, row ids and sequence, the rest is untouched, and so it is rolled back (${mode})`, async () => {
    await using place = await makePlace();
    const path = join(place.dir, "live.db");
    execute(path, `pragma journal_mode = ${mode}; ${tablesSchema}`);
    const dumped = await dump({ path }, place.context);
    const old = readTables(path);
    changeTables(path);
    const changed = readTables(path);
    const others = (): string => readTables(path, ["parent", "log", "child"]);
    const kept = others();
    const { steps, counts } = await restoreTables(place, path, dumped, wantedTables);
    assert.deepEqual(counts, { "rows.item": 3, "rows.pair": 2, "rows.exact": 2, 'rows.odd "name"': 1 });
    assert.equal(readTables(path), old);
    assert.equal(others(), kept, "nothing has fired");
    assert.equal(query(path, "pragma integrity_check"), "ok");
    assert.equal((await listOurs(place)).length, 1, "the former tables are aside");
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(readTables(path), changed);
    assert.equal(others(), kept);
    execute(path, "update exact set n = 10");
    const later = readTables(path);
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(readTables(path), later, "a second rollback takes nothing away");
    assert.deepEqual(await listOurs(place), []);
    const again = await restoreTables(place, path, dumped, wantedTables);
    await sqliteDriver.settle(again.steps, noSignal);
    await sqliteDriver.settle(again.steps, noSignal);
    assert.equal(readTables(path), old);
    assert.deepEqual(await listOurs(place), []);
  });

  test(`A6 F32 who writes to other tables loses nothing, who reads the table sees old, then new (${mode})`, async () => {
    await using place = await makePlace();
    const path = join(place.dir, "live.db");
    execute(path, `pragma journal_mode = ${mode}; create table marker (x); insert into marker select 'old' from (values (1), (2), (3))`);
    const dumped = await dump({ path }, place.context);
    execute(path, "delete from marker; insert into marker values ('new')");
    await using writer = await startProgram("sqlite-writer.ts", [path, mode, "1"]);
    const { steps } = await restoreTables(place, path, dumped, ["marker"], { application: "may-run" });
    const rows = (): number => Number(spawnSync("sqlite3", [path, ".timeout 5000", "select count(*) from one"]).stdout.toString());
    const seen = rows();
    while (rows() <= seen);
    const report = JSON.parse(await writer.stop("stop")) as { errors: string[]; committed: number };
    assert.deepEqual(report.errors, []);
    assert.equal(query(path, "select count(*) || min(x) from marker"), "3old");
    assert.equal(query(path, "select count(*) from one"), report.committed);
    assert.equal(query(path, "select count(*) from other"), report.committed);
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select count(*) || min(x) from marker"), "1new");
    assert.equal(query(path, "select count(*) from one"), report.committed);
  });
}

test("A6 rows that other tables would refer to in vain are not taken away: nothing is changed", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, tablesSchema);
  const dumped = await dump({ path }, place.context);
  execute(
    path,
    "insert into item (id) values (50); insert into child values (50); pragma foreign_keys = off; insert into child values (999)",
  );
  const before = readTables(path);
  await assert.rejects(restoreTables(place, path, dumped, ["item"]), (error: HoldfastError) => {
    assert.match(error.message, /references between tables would be broken: 1 of child to item/);
    assert.match(error.hint ?? "", /belong together/);
    return true;
  });
  assert.equal(readTables(path), before);
  await restoreTables(place, path, dumped, ["item", "child"]);
  assert.equal(query(path, "select count(*) from child"), 0);
});

test("A6 views, virtual tables, SQLite's own and unknown ones are refused before anything is touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, tablesSchema);
  const dumped = await dump({ path }, place.context);
  const before = readTables(path);
  for (const [table, told] of [
    ["seen", /seen cannot be restored alone: it is a view/],
    ["words", /virtual table/],
    ["words_data", /belongs to a virtual table/],
    ["sqlite_sequence", /SQLite's own/],
    ["nowhere", /the backup has no table nowhere/],
  ] as const)
    await assert.rejects(restoreTables(place, path, dumped, [table]), told);
  assert.equal(readTables(path), before);
  execute(path, "create table away as select * from pair; drop table pair; create view pair as select 1");
  await assert.rejects(restoreTables(place, path, dumped, ["pair"]), /pair cannot be restored alone: it is a view/);
  execute(path, "drop view pair");
  assert.deepEqual(
    (await listOurs(place)).filter((name) => !name.includes("aside")),
    [],
  );
  await rm(path);
  await assert.rejects(restoreTables(place, path, dumped, ["pair"]), { code: "target-unsafe" });
});

test("A6 the plan names what relies on a table", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, tablesSchema);
  await using datastore = await openSqlite({ path }, place.context);
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts: ["item", "gone"] }, noSignal);
  const facts = await session.inspect(noSignal);
  assert.deepEqual(
    facts.notes.filter(({ code }) => code === "table-used").map(({ message }) => message),
    [
      "It stays as it is and relies on what is restored: foreign keys of child",
      "It stays as it is and relies on what is restored: view seen",
    ],
  );
  assert.match(facts.summary, /; item is there$/);
});

test("D6 a backup that was made before a restore takes a table away again that was not there", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, "create table a (x); insert into a values (1)");
  const dumped = await dump({ path }, place.context);
  execute(path, "create table b (x); insert into b values (2); insert into a values (3)");
  const { steps } = await restoreTables(place, path, dumped, ["b"], { beyond: "remove" });
  assert.equal(query(path, "select count(*) from sqlite_schema"), 1);
  assert.equal(query(path, "select count(*) from a"), 2);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, "select x from b"), 2);
});
