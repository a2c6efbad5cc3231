import assert from "node:assert/strict";
import { chmod, chown, link, mkdir, open, readdir, readFile, rename, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { existsSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { compareContents } from "../../base/contents.ts";
import { asStored, dump, execute, makePlace, noSignal, openSqlite, pathOf, query, startProgram } from "../../../test/support/sqlite.ts";
import { findFile } from "./database-files.ts";
import { findUsers } from "./find-users.ts";
import { describeWalGrowth } from "./snapshot.ts";
import { sqliteDriver } from "./sqlite.ts";

const nobody = 65_534;

for (const mode of ["wal", "delete"]) {
  test(`F25 P1 D1 a database that is written to without pause (${mode}) is copied consistently`, async () => {
    await using place = await makePlace();
    const path = join(place.dir, "live.db");
    execute(
      path,
      "create table filler as with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000) select i, randomblob(400) as b from n",
    );
    await using writer = await startProgram("sqlite-writer.ts", [path, mode]);
    const dumped = await dump({ path }, place.context);
    const report = JSON.parse(await writer.stop("stop")) as { committed: number; errors: string[]; longestMs: number };
    assert.deepEqual(report.errors, []);
    const counts = dumped.facts.contents?.counts ?? {};
    assert.ok((counts["rows.one"] ?? 0) > 0);
    assert.equal(counts["rows.one"], counts["rows.other"]);
    assert.equal(counts["rows.filler"], 40_000);
    assert.equal(dumped.facts.contents?.digests["integrity"], "ok");
    assert.equal(dumped.facts.contents?.facts["journalMode"], mode);
    assert.equal(dumped.facts.contents?.facts["method"], "held");
    assert.equal(typeof dumped.facts.contents?.facts["holdMs"], "number");
    assert.deepEqual(dumped.facts.notes, []);
    assert.equal(dumped.facts.checked, true);
    const copy = pathOf(dumped);
    assert.deepEqual(await readdir(place.context.stagingDir), [basename(copy)], "M7: one self-contained file");
    const header = await readFile(copy);
    assert.deepEqual([header[18], header[19]], [1, 1], "M7: the copy is no WAL database");
  });
}

test("F26 a database that stays locked is source-locked, in its time, and may be tried again", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "locked.db");
  for (const [mode, what] of [
    ["delete", "exclusive"],
    ["delete", "locking-mode"],
    ["wal", "locking-mode"],
  ] as const) {
    execute(path, `pragma journal_mode = ${mode}; create table if not exists t (x)`);
    await using _holder = await startProgram("sqlite-holder.ts", [path, what]);
    await assert.rejects(dump({ path, busyTimeoutMs: 200 }, place.context), {
      code: "source-locked",
      retryable: true,
      message: /^Cannot dump "memory": database is locked/,
    });
  }
  assert.deepEqual(await readdir(place.context.stagingDir), []);
});

test("F26 a lock that is let go within the busy timeout only delays the copy", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "locked.db");
  execute(path, "create table t (x)");
  await using _holder = await startProgram("sqlite-holder.ts", [path, "exclusive", "500"]);
  const dumped = await dump({ path }, place.context);
  assert.deepEqual(dumped.facts.contents?.counts, { "rows.t": 0 });
});

test("F26 a long read transaction of another program is no obstacle", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "read.db");
  execute(path, "create table t (x)");
  await using _holder = await startProgram("sqlite-holder.ts", [path, "read"]);
  assert.equal((await dump({ path }, place.context)).entries.length, 1);
});

test("F27 a hot rollback journal is rolled back by SQLite, never copied around", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "torn.db");
  await using crasher = await startProgram("sqlite-crasher.ts", [path, "delete"]);
  assert.equal(crasher.child.signalCode, "SIGKILL");
  assert.ok(existsSync(`${path}-journal`));
  assert.ok((await readFile(path)).includes("torn"), "the file has been changed by the unfinished transaction");
  const dumped = await dump({ path }, place.context);
  assert.equal(dumped.facts.contents?.digests["integrity"], "ok");
  assert.equal(query(pathOf(dumped), "select count(*) from kept where text like 'torn%'"), 0);
  assert.equal(dumped.facts.contents?.counts["rows.kept"], 200);
});

test("F28 what is in the WAL only is in the copy, with no -shm too", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "wal.db");
  await using _crasher = await startProgram("sqlite-crasher.ts", [path, "wal"]);
  assert.ok((await stat(`${path}-wal`)).size > 0);
  await rename(`${path}-shm`, join(place.dir, "elsewhere"));
  const dumped = await dump({ path }, place.context);
  assert.equal(query(pathOf(dumped), "select count(*) from kept where text = 'only in the WAL'"), 1);
});

test("F28 a WAL database in a directory that its owner cannot write to is refused clearly", async () => {
  await using place = await makePlace();
  const closed = join(place.dir, "closed");
  await mkdir(closed);
  const path = join(closed, "wal.db");
  await using _crasher = await startProgram("sqlite-crasher.ts", [path, "wal"]);
  await rename(`${path}-shm`, join(place.dir, "elsewhere"));
  await chown(path, nobody, nobody);
  await chown(`${path}-wal`, nobody, nobody);
  await chmod(closed, 0o555);
  await assert.rejects(dump({ path }, place.context), { code: "source-unreadable", hint: /write to its directory/ });
});

test("F28 a rollback-journal database in a directory that its owner cannot write to is copied", async () => {
  await using place = await makePlace();
  const closed = join(place.dir, "closed");
  await mkdir(closed, { mode: 0o755 });
  const path = join(closed, "plain.db");
  execute(path, "create table t (x); insert into t values (1)");
  await chown(path, nobody, nobody);
  assert.deepEqual((await dump({ path }, place.context)).facts.contents?.counts, { "rows.t": 1 });
});

test("A18 a live WAL database is opened as its owner: nothing beside it becomes root's", async () => {
  await using place = await makePlace();
  const app = join(place.dir, "app");
  await mkdir(app);
  await chown(app, nobody, nobody);
  const path = join(app, "app.db");
  await using _crasher = await startProgram("sqlite-crasher.ts", [path, "wal"], { uid: nobody, gid: nobody });
  await rename(`${path}-shm`, join(place.dir, "elsewhere"));
  const seen = new Set<string>();
  const context = { ...place.context, progress: () => undefined };
  const dumped = await dump({ path }, context);
  for (const name of await readdir(app)) seen.add(`${name} ${(await stat(join(app, name))).uid}`);
  assert.deepEqual(
    [...seen].filter((line) => !line.endsWith(` ${nobody}`)),
    [],
  );
  const copy = await stat(pathOf(dumped));
  assert.deepEqual([copy.uid, copy.mode & 0o777], [0, 0o600], "the copy is out of the owner's hands");
  assert.equal(
    (await stat(join(place.dir, "staging"))).mode & 0o777,
    0o701,
    "others may pass through the staging directories, not list them",
  );
});

test("A18 a live WAL application of another user goes on working during and after the dump", async () => {
  await using place = await makePlace();
  const app = join(place.dir, "app");
  await mkdir(app);
  await chown(app, nobody, nobody);
  const path = join(app, "app.db");
  await using writer = await startProgram("sqlite-writer.ts", [path, "wal"], { uid: nobody, gid: nobody });
  await dump({ path }, place.context);
  for (const name of await readdir(app)) assert.equal((await stat(join(app, name))).uid, nobody, name);
  assert.deepEqual((JSON.parse(await writer.stop("stop")) as { errors: string[] }).errors, []);
});

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

test("F25 a rollback-journal database too large for maxHoldMs is copied in steps, or given up when it is written to without pause", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "large.db");
  execute(
    path,
    "create table filler as with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000) select i, randomblob(900) as b from n",
  );
  const quiet = await dump({ path, maxHoldMs: 20 }, place.context);
  assert.equal(quiet.facts.contents?.facts["method"], "stepped");
  assert.deepEqual(
    quiet.facts.notes.map(({ code }) => code),
    ["copied-in-steps"],
  );
  await using writer = await startProgram("sqlite-writer.ts", [path, "delete"]);
  await assert.rejects(dump({ path, maxHoldMs: 20, busyTimeoutMs: 1_500 }, place.context), {
    code: "source-locked",
    retryable: true,
    hint: /maxHoldMs/,
  });
  const report = JSON.parse(await writer.stop("stop")) as { errors: string[] };
  assert.deepEqual(report.errors, []);
});

test("a dump ends with its signal and leaves neither child nor copy", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "slow.db");
  execute(path, "create table t (x)");
  await using _holder = await startProgram("sqlite-holder.ts", [path, "exclusive"]);
  const stop = new AbortController();
  const dumping = dump({ path }, place.context, stop.signal);
  setImmediate(() => stop.abort());
  await assert.rejects(dumping, { code: "cancelled" });
  assert.deepEqual(await readdir(place.context.stagingDir), []);
});

test("probe opens the database as a dump would, and tells an absent optional one", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "probed.db");
  execute(path, "pragma journal_mode = wal; create table t (x)");
  await using datastore = await openSqlite({ path }, place.context);
  const facts = await datastore.probe(noSignal);
  assert.match(facts.summary, /^SQLite database, 8\.2 kB, WAL, 1 table$/);
  assert.equal(facts.device, (await stat(path)).dev);
  await using absent = await openSqlite({ path: `${path}x`, optional: true }, place.context);
  assert.equal((await absent.probe(noSignal)).absent, true);
  await using missing = await openSqlite({ path: `${path}x` }, place.context);
  await assert.rejects(missing.probe(noSignal), { code: "source-missing" });
});

test("F25 a WAL that grew much while the database was copied is told", () => {
  const mib = 1024 * 1024;
  assert.deepEqual(
    describeWalGrowth(0, 100 * mib, 200 * mib).map(({ level, code }) => [level, code]),
    [["warning", "wal-growth"]],
  );
  assert.deepEqual(describeWalGrowth(0, 100 * mib, 1_000 * mib), [], "a tenth of the database");
  assert.deepEqual(describeWalGrowth(50 * mib, 100 * mib, mib), [], "50 MiB");
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

test("F1 the process that copies, although it is another user's, ends when its worker is killed", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "orphan.db");
  execute(path, "create table t (x)");
  await chown(path, nobody, nobody);
  await using holder = await startProgram("sqlite-holder.ts", [path, "exclusive"]);
  await using dumper = await startProgram("sqlite-dumper.ts", [path, place.dir]);
  const file = await findFile(path);
  assert.ok(file !== undefined);
  const users = async () => (await findUsers([file])).pids.filter((pid) => pid !== holder.pid);
  while ((await users()).length === 0);
  dumper.child.kill("SIGKILL");
  while ((await users()).length > 0);
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
