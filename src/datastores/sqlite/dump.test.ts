import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { compareContents } from "../../base/contents.ts";
import { asStored, dump, execute, makePlace, noSignal, pathOf } from "../../../test/support/sqlite.ts";
import { sqliteDriver } from "./sqlite.ts";

test("F31 every kind of schema, page size and header value comes through, and check reads the same contents", async () => {
  await using place = await makePlace();
  const schemas: Record<string, string> = {
    rich: `pragma user_version = 42; pragma application_id = 252006674;
      create table plain (id integer primary key, a, b generated always as (a * 2) stored); insert into plain (a) values (1), (2);
      create table strict (a integer not null, b text) strict; insert into strict values (1, 'x');
      create table keyed (k text primary key, v) without rowid; insert into keyed values ('a', 1);
      create table "odd "" name; drop" (x); insert into "odd "" name; drop" values (1);
      create table counted (id integer primary key autoincrement); insert into counted default values;
      create view seen as select * from plain; create trigger fired after insert on plain begin select 1; end;
      create virtual table found using fts5(body); insert into found values ('hello world');
      create virtual table boxes using rtree(id, x0, x1); insert into boxes values (1, 0, 1);
      create index i on plain (a) where a > 1; analyze;`,
    tiny: "pragma page_size = 512; create table t (x); insert into t values (randomblob(5000))",
    large: "pragma page_size = 65536; create table t (x); insert into t values (randomblob(500000))",
    utf16: "pragma encoding = 'UTF-16le'; create table t (x); insert into t values ('ä')",
    bare: "pragma user_version = 7",
    vacuumed: "pragma auto_vacuum = full; create table t (x); insert into t values (1)",
  };
  for (const [name, sql] of Object.entries(schemas)) {
    const path = join(place.dir, `${name}.db`);
    execute(path, sql);
    const dumped = await dump({ path }, place.context);
    assert.deepEqual(dumped.facts.notes, [], name);
    const checked = await sqliteDriver.check(asStored(dumped, 1000), place.context, noSignal);
    assert.ok(dumped.facts.contents !== undefined);
    assert.deepEqual(compareContents(dumped.facts.contents, checked.contents), [], name);
    assert.deepEqual(await readFile(pathOf(dumped)).then((bytes) => bytes.length), (await stat(path)).size, name);
    if (name === "rich") {
      assert.deepEqual(dumped.facts.contents.counts, {
        "rows.boxes": 1,
        "rows.counted": 1,
        "rows.found": 1,
        "rows.keyed": 1,
        'rows.odd " name; drop': 1,
        "rows.plain": 2,
        "rows.strict": 1,
      });
      assert.equal(dumped.facts.contents.facts["userVersion"], 42);
      assert.equal(dumped.facts.contents.facts["applicationId"], 252_006_674);
    }
    if (name === "bare") assert.deepEqual(dumped.facts.contents.counts, {});
  }
});

test("P4 a stored copy that is no database, empty, or several files is damaged", async () => {
  await using place = await makePlace();
  const stored = (bytes: Buffer, times = 1) =>
    (async function* () {
      for (let index = 0; index < times; index += 1) {
        const open = async function* () {
          yield bytes;
        };
        yield { name: `a${index}.db`, form: "file" as const, bytes: bytes.length, sourcePath: "/a.db", open };
      }
    })();
  await assert.rejects(sqliteDriver.check(stored(Buffer.alloc(0)), place.context, noSignal), { code: "backup-damaged" });
  await assert.rejects(sqliteDriver.check(stored(Buffer.from("not a database")), place.context, noSignal), { code: "backup-damaged" });
  await assert.rejects(sqliteDriver.check(stored(Buffer.from("x"), 2), place.context, noSignal), { code: "backup-damaged" });
  await assert.rejects(sqliteDriver.check(stored(Buffer.from("x"), 0), place.context, noSignal), { code: "backup-incomplete" });
  assert.deepEqual(await readdir(place.context.stagingDir), []);
});

test("D3 statistics name the chosen tables; one that is not there is told", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "duck.db");
  execute(path, "create table messages (x); insert into messages values (1), (2); create table facts (x)");
  const dumped = await dump({ path, countRows: ["messages", "memories"] }, place.context);
  assert.equal(dumped.facts.contents?.facts["statistics"], "messages 2");
  assert.deepEqual(
    dumped.facts.notes.map(({ code }) => code),
    ["table-missing"],
  );
  assert.deepEqual(dumped.facts.contents?.counts, { "rows.messages": 2, "rows.facts": 0 });
});

test("F31 parts of a schema that only the application knows do not make a database damaged", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "app.db");
  const database = new Database(path);
  database.function("twice", { deterministic: true }, (x) => Number(x) * 2);
  database.exec(
    "create table t (x); create index i on t (twice(x)); insert into t values (1); create table u (x); insert into u values (1)",
  );
  database.close();
  const dumped = await dump({ path }, place.context);
  assert.deepEqual(
    dumped.facts.notes.map(({ level, code }) => [level, code]),
    [["info", "not-checked"]],
  );
  assert.deepEqual(dumped.facts.contents?.counts, { "rows.t": 1, "rows.u": 1 });
});
