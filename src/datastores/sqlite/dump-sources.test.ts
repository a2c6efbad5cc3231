import assert from "node:assert/strict";
import { chmod, link, mkdir, open, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { asStored, dump, execute, makePlace, noSignal, openSqlite, query } from "../../../test/support/sqlite.ts";
import { sqliteDriver } from "./sqlite.ts";

test("F29 a database that is replaced by rename while it is copied is source-changed", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "replaced.db");
  const sql =
    "create table filler as with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) select i, randomblob(400) as b from n";
  execute(path, sql);
  execute(join(place.dir, "other.db"), sql);
  let replaced = false;
  const replace = () => {
    if (replaced) return;
    replaced = true;
    renameSync(join(place.dir, "other.db"), path);
  };
  await assert.rejects(dump({ path }, { ...place.context, progress: replace }), { code: "source-changed", retryable: true });
  assert.equal(replaced, true);
});

test("F29 G2 every name of a database gives one key; a missing one has a key too", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "real.db");
  execute(path, "create table t (x)");
  await symlink("real.db", join(place.dir, "soft.db"));
  await link(path, join(place.dir, "hard.db"));
  await symlink(place.dir, `${place.dir}/again`);
  await symlink("gone.db", join(place.dir, "dangling.db"));
  const identify = (name: string) => sqliteDriver.configure({ path: join(place.dir, name) }).identify(noSignal);
  const key = await identify("real.db");
  assert.match(key.id, /^sqlite:\d+:\d+$/);
  assert.deepEqual(key.paths, [path]);
  assert.deepEqual(await identify("soft.db"), key);
  assert.deepEqual(await identify("again/real.db"), key);
  assert.equal((await identify("hard.db")).id, key.id);
  assert.deepEqual(await identify("dangling.db"), await identify("again/gone.db"));
  assert.deepEqual((await identify("no/such/dir/gone.db")).paths, [join(place.dir, "no/such/dir/gone.db")]);
});

test("F30 a damaged database is kept and flagged: the dump is partial", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "damaged.db");
  execute(path, "create table t (x); create index i on t (x); insert into t select value from json_each('[1,2,3,4,5,6,7,8]')");
  const page = Number(query(path, "select rootpage from sqlite_schema where name = 'i'"));
  const file = await open(path, "r+");
  await file.write(Buffer.alloc(200, 0xff), 0, 200, (page - 1) * 4096);
  await file.close();
  const dumped = await dump({ path }, place.context);
  assert.equal(dumped.entries.length, 1);
  assert.equal(dumped.facts.notes[0]?.level, "partial");
  assert.equal(dumped.facts.notes[0]?.code, "source-damaged");
  const checked = await sqliteDriver.check(asStored(dumped), place.context, noSignal);
  assert.deepEqual(compareContents(dumped.facts.contents ?? { counts: {}, digests: {}, facts: {} }, checked.contents), []);
  assert.equal(checked.notes[0]?.code, "source-damaged");
});

test("F30 a database that SQLite cannot even open is source-corrupt or not a database", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "broken.db");
  execute(path, "create table t (x); insert into t values (randomblob(20000))");
  await truncate(path, 600);
  await assert.rejects(dump({ path }, place.context), { code: /^source-(corrupt|encrypted)$/ as unknown as string });
});

test("F31 empty, encrypted, missing, and what is no file at all are told apart", async () => {
  await using place = await makePlace();
  const at = (name: string) => ({ path: join(place.dir, name) });
  await writeFile(at("zero.db").path, "");
  await writeFile(at("cipher.db").path, Buffer.alloc(8192, 0x5a));
  await mkdir(at("dir.db").path);
  await symlink("nowhere", at("dangling.db").path);
  await assert.rejects(dump(at("zero.db"), place.context), { code: "source-empty" });
  await assert.rejects(dump({ ...at("zero.db"), optional: true }, place.context), { code: "source-empty" });
  await assert.rejects(dump(at("cipher.db"), place.context), { code: "source-encrypted" });
  await assert.rejects(dump(at("dir.db"), place.context), { code: "source-unreadable", message: /is a directory/ });
  await assert.rejects(dump(at("gone.db"), place.context), { code: "source-missing" });
  await assert.rejects(dump(at("dangling.db"), place.context), { code: "source-missing" });
  const absent = await dump({ ...at("gone.db"), optional: true }, place.context);
  assert.deepEqual([absent.entries.length, absent.facts.absent], [0, true]);
});

test("F20 a database that its reader cannot open is named by its path, when probed and when dumped", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "closed.db");
  execute(path, "create table t (x)");
  await chmod(path, 0o600);
  const options = { path, runAs: "nobody" };
  const message = `${path}: unable to open database file (SQLITE_CANTOPEN)`;
  await assert.rejects(dump(options, place.context), { code: "source-unreadable", message: `Cannot dump "memory": ${message}` });
  await using datastore = await openSqlite(options, place.context);
  await assert.rejects(datastore.probe(noSignal), { code: "source-unreadable", message: `Cannot read "memory": ${message}` });
});

test("probe opens the database as a dump would, and tells an absent optional one", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "probed.db");
  execute(path, "pragma journal_mode = wal; create table t (x)");
  await using datastore = await openSqlite({ path }, place.context);
  const facts = await datastore.probe(noSignal);
  assert.match(facts.summary, /^SQLite database, 8.0 KiB, WAL, 1 table$/);
  assert.equal(facts.device, (await stat(path)).dev);
  await using absent = await openSqlite({ path: `${path}x`, optional: true }, place.context);
  assert.equal((await absent.probe(noSignal)).absent, true);
  await using missing = await openSqlite({ path: `${path}x` }, place.context);
  await assert.rejects(missing.probe(noSignal), { code: "source-missing" });
});

test("F29 a database with several names is copied with a warning", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "one.db");
  execute(path, "create table t (x)");
  await link(path, join(place.dir, "two.db"));
  const dumped = await dump({ path }, place.context);
  assert.deepEqual(
    dumped.facts.notes.map(({ level, code }) => [level, code]),
    [["warning", "hard-links"]],
  );
});

test("a database on the options' edge is refused by the config, not misread", () => {
  for (const path of ["relative.db", "/ends/in/space.db ", "/a/directory/"])
    assert.throws(() => sqliteDriver.configure({ path }), { code: "config-invalid" });
  assert.throws(() => sqliteDriver.configure({ path: "/a.db", entry: "../x" }), { code: "config-invalid" });
  assert.throws(() => sqliteDriver.configure({ path: "/a.db", unknown: 1 }), { code: "config-invalid" });
});

test("a runAs that does not exist is refused", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  await assert.rejects(dump({ path, runAs: "no-such-user" }, place.context), { code: "config-invalid" });
  await chmod(place.dir, 0o777);
  await chmod(path, 0o666);
  assert.equal((await dump({ path, runAs: "nobody" }, place.context)).entries.length, 1);
});
