import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import {
  asStored,
  dump,
  execute,
  listBeside,
  makePlace,
  noSignal,
  openSqlite,
  pathOf,
  query,
  recordInto,
  startProgram,
  type Dumped,
  type Place,
} from "../../../test/support/sqlite.ts";
import { onExit } from "../../../test/support/trees.ts";
import type { HoldfastError } from "../../base/errors.ts";
import type { RestoreOptions, SwapStep } from "../contract.ts";
import { sqliteDriver } from "./sqlite.ts";

const schema = `
  create table parent (id integer primary key, name text);
  insert into parent values (1, 'one'), (2, 'two');
  create table item (id integer primary key autoincrement, parent integer references parent (id), body blob, twice generated always as (id * 2) stored, later as (id * 3));
  insert into item (id, parent, body) values (5, 1, x'00ff'), (9223372036854775800, 2, 'text'), (7, null, 1.0), (8, null, cast(x'ff00fe' as text));
  delete from item where id = 9223372036854775800;
  update sqlite_sequence set seq = 40 where name = 'item';
  create index item_body on item (body);
  create table log (line text);
  create trigger item_log after insert on item begin insert into log values ('inserted ' || new.id); end;
  create table pair (a text, b integer, primary key (a, b)) without rowid;
  insert into pair values ('x', 1), ('y', 2);
  create table exact (rowid text, n integer, t text) strict;
  insert into exact (oid, rowid, n, t) values (100, 'named', 1, 'a'), (7, 'too', 2, 'b');
  create table "odd ""name""" ("a b" text);
  insert into "odd ""name""" values ('v');
  create table child (item integer references item (id));
  create view seen as select * from item;
  create virtual table words using fts5 (w);
  insert into words values ('w');
`;
const wanted = ["ITEM", "pair", "exact", 'odd "name"'];

/** Everything that a table is, value by value with types. */
function read(path: string, tables: readonly string[] = ["item", "pair", "exact", 'odd "name"']): string {
  const database = new Database(path, { readonly: true });
  try {
    return JSON.stringify(
      tables.map((table) => {
        const name = `"${table.replaceAll('"', '""')}"`;
        const exists = database.prepare("select 1 from sqlite_schema where name = ?").get(table) !== undefined;
        const columns = exists ? (database.pragma(`table_xinfo(${name})`) as { name: string }[]).map((column) => column.name) : [];
        const values = columns.map((column) => `typeof("${column}") || ':' || hex("${column}")`);
        const order = table === "pair" || !exists ? "" : " order by oid";
        const rowId = table === "pair" ? "1" : "oid";
        return [
          exists
            ? database
                .prepare(`select ${rowId}, ${values.join(", ")} from ${name}${order}`)
                .raw()
                .all()
            : "none",
          database.prepare("select type, name, sql from sqlite_schema where tbl_name = ? order by type, name").raw().all(table),
          database.prepare("select seq from sqlite_sequence where name = ?").pluck().all(table),
        ];
      }),
    );
  } finally {
    database.close();
  }
}

function change(path: string): void {
  execute(
    path,
    `pragma foreign_keys = off; drop trigger item_log; drop index item_body; delete from item; alter table item add column more text;
     insert into item (id, body, more) values (77, 'new', 'm'); create index item_more on item (more);
     drop table pair; update exact set n = 9; insert into log values ('later'); insert into "odd ""name""" values ('later')`,
  );
}

async function restoreTables(
  place: Place,
  path: string,
  dumped: Dumped,
  parts: readonly string[],
  restoring: Partial<RestoreOptions> = {},
): Promise<{ readonly steps: SwapStep[]; readonly counts: Readonly<Record<string, number>> }> {
  const steps: SwapStep[] = [];
  await using datastore = await openSqlite({ path, busyTimeoutMs: 5_000 }, place.context);
  const record = recordInto(steps);
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts, record, ...restoring }, noSignal);
  const staged = await session.stage(asStored(dumped), noSignal);
  await session.swap(restoring.record ?? record, noSignal);
  const found = await session.summarize(noSignal);
  assert.deepEqual(found.counts, staged.counts);
  return { steps, counts: found.counts };
}

async function listOurs(place: Place): Promise<readonly string[]> {
  return (await listBeside(place)).filter((name) => name.includes("holdfast"));
}

for (const mode of ["wal", "delete"]) {
  test(`A6 G6 tables of every make come back with indexes, triggers, row ids and sequence, the rest is untouched, and so it is rolled back (${mode})`, async () => {
    await using place = await makePlace();
    const path = join(place.dir, "live.db");
    execute(path, `pragma journal_mode = ${mode}; ${schema}`);
    const dumped = await dump({ path }, place.context);
    const old = read(path);
    change(path);
    const changed = read(path);
    const others = (): string => read(path, ["parent", "log", "child"]);
    const kept = others();
    const { steps, counts } = await restoreTables(place, path, dumped, wanted);
    assert.deepEqual(counts, { "rows.item": 3, "rows.pair": 2, "rows.exact": 2, 'rows.odd "name"': 1 });
    assert.equal(read(path), old);
    assert.equal(others(), kept, "nothing has fired");
    assert.equal(query(path, "pragma integrity_check"), "ok");
    assert.equal((await listOurs(place)).length, 1, "the former tables are aside");
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(read(path), changed);
    assert.equal(others(), kept);
    execute(path, "update exact set n = 10");
    const later = read(path);
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(read(path), later, "a second rollback takes nothing away");
    assert.deepEqual(await listOurs(place), []);
    const again = await restoreTables(place, path, dumped, wanted);
    await sqliteDriver.settle(again.steps, noSignal);
    await sqliteDriver.settle(again.steps, noSignal);
    assert.equal(read(path), old);
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
  execute(path, schema);
  const dumped = await dump({ path }, place.context);
  execute(
    path,
    "insert into item (id) values (50); insert into child values (50); pragma foreign_keys = off; insert into child values (999)",
  );
  const before = read(path);
  await assert.rejects(restoreTables(place, path, dumped, ["item"]), (error: HoldfastError) => {
    assert.match(error.message, /references between tables would be broken: 1 of child to item/);
    assert.match(error.hint ?? "", /belong together/);
    return true;
  });
  assert.equal(read(path), before);
  await restoreTables(place, path, dumped, ["item", "child"]);
  assert.equal(query(path, "select count(*) from child"), 0);
});

test("A6 views, virtual tables, SQLite's own and unknown ones are refused before anything is touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, schema);
  const dumped = await dump({ path }, place.context);
  const before = read(path);
  for (const [table, told] of [
    ["seen", /seen cannot be restored alone: it is a view/],
    ["words", /virtual table/],
    ["words_data", /belongs to a virtual table/],
    ["sqlite_sequence", /SQLite's own/],
    ["nowhere", /the backup has no table nowhere/],
  ] as const)
    await assert.rejects(restoreTables(place, path, dumped, [table]), told);
  assert.equal(read(path), before);
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
  execute(path, schema);
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

test("F14 a disk that is full leaves the database as it was", async () => {
  await using place = await makePlace();
  const disk = join(place.dir, "disk");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", disk]);
  using _unmount = onExit(() => spawnSync("umount", ["--lazy", disk]));
  const path = join(disk, "live.db");
  execute(
    path,
    "create table t (x); insert into t with recursive n (i) as (select 1 union all select i + 1 from n where i < 1200) select randomblob(1000) from n",
  );
  const dumped = await dump({ path }, place.context);
  execute(path, "update t set x = 'new' where rowid = 1");
  const sum = "select count(*) || ' ' || sum(length(x)) from t";
  const held = query(path, sum);
  const steps: SwapStep[] = [];
  const record = recordInto(steps);
  await assert.rejects(restoreTables(place, path, dumped, ["t"], { record }), { code: "no-space" });
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, sum), held);
  assert.equal(query(path, "pragma integrity_check"), "ok");
  assert.deepEqual(readdirSync(disk), ["live.db"]);
});

test("F32 a database that stays locked is target-in-use and is as it was", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, "create table t (x); insert into t values ('old')");
  const dumped = await dump({ path }, place.context);
  execute(path, "update t set x = 'new'");
  const holder = new Database(path);
  holder.exec("begin immediate");
  const steps: SwapStep[] = [];
  await using datastore = await openSqlite({ path, busyTimeoutMs: 200 }, place.context);
  await using session = await datastore.openRestore(
    { kind: "original" },
    { absent: false, parts: ["t"], record: recordInto(steps) },
    noSignal,
  );
  await session.stage(asStored(dumped), noSignal);
  await assert.rejects(session.swap(recordInto(steps), noSignal), { code: "target-in-use" });
  holder.exec("commit");
  holder.close();
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, "select x from t"), "new");
});

test("F59 a process whose restore has died commits nothing after it", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "live.db");
  execute(path, "create table t (x); insert into t values ('old')");
  const dumped = await dump({ path }, place.context);
  execute(path, "update t set x = 'new'");
  const holder = new Database(path);
  holder.exec("begin immediate");
  const operation = { op: "replace-tables", path, source: pathOf(dumped), aside: `${path}.aside`, tables: ["t"], busyTimeoutMs: 30_000 };
  const child = fileURLToPath(new URL("./child.ts", import.meta.url));
  // The shell in between is the restore that dies; it says the child's process id, then waits to be killed.
  const script = `"$0" "$1" <"$2" & echo $!; wait`;
  const input = join(place.dir, "request");
  execFileSync("mkfifo", [input]);
  const shell = spawn("bash", ["-c", script, process.execPath, child, input], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface({ input: shell.stdout }), "line")) as [string];
  const pipe = await open(input, "w");
  await pipe.writeFile(`${JSON.stringify({ operation, identity: null })}\n`);
  // It has the source open when it waits for the lock.
  const waits = (): boolean => spawnSync("bash", ["-c", `ls -l /proc/${line}/fd | grep -F "${pathOf(dumped)}"`]).status === 0;
  while (!waits());
  shell.kill("SIGKILL");
  await once(shell, "exit");
  holder.exec("commit");
  holder.close();
  while (existsSync(`/proc/${line}`) && !readFileSync(`/proc/${line}/stat`, "utf8").includes(") Z"));
  await pipe.close();
  assert.equal(query(path, "select x from t"), "new");
  assert.equal(existsSync(`${path}.aside`), false);
});

/** Runs the process that acts on the database, and kills it at its n-th call of a kind; says whether it came that far. */
function killAt(operation: unknown, call: string, count: number): "killed" | "ended" {
  const child = fileURLToPath(new URL("./child.ts", import.meta.url));
  const inject = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${count}`];
  const input = `${JSON.stringify({ operation, identity: null })}\n`;
  const { status, signal } = spawnSync("strace", [...inject, process.execPath, child], { input, timeout: 60_000 });
  return signal === "SIGKILL" || status === 137 ? "killed" : "ended";
}

for (const mode of ["wal", "delete"]) {
  test(`F59 G6 killed at any write, the tables are the old or the new ones, and the rollback brings the old ones back, killed or not (${mode})`, async () => {
    await using place = await makePlace();
    const path = join(place.dir, "live.db");
    execute(
      path,
      `pragma journal_mode = ${mode}; create table t (x); create index t_x on t (x); insert into t values ('old'); create table o (y)`,
    );
    const dumped = await dump({ path }, place.context);
    execute(path, "update t set x = 'new'; drop index t_x; insert into o values (1)");
    const source = pathOf(dumped);
    const look = (at: string): string => {
      const text = String(query(at, "select group_concat(x) || (select count(*) from sqlite_schema where name = 't_x') from t"));
      assert.equal(query(at, "pragma integrity_check"), "ok");
      assert.equal(query(at, "select count(*) from o"), 1);
      return text;
    };
    const outcomes = new Set<string>();
    for (const call of ["pwrite64", "fdatasync", "unlink"]) {
      for (let count = 1; ; count += 1) {
        const copy = join(place.dir, "copy.db");
        await copyFile(path, copy);
        const aside = `${copy}.aside`;
        const common = { path: copy, aside, tables: ["t"], busyTimeoutMs: 1_000 };
        const end = killAt({ op: "replace-tables", source, ...common }, call, count);
        const steps = [{ op: "replace-tables", path: copy, aside, tables: '["t"]', uid: null, gid: null, user: null }];
        const seen = look(copy);
        assert.ok(seen === "new0" || seen === "old1", seen);
        outcomes.add(`${end} ${seen}`);
        // What an application does before the daemon is back is not lost where nothing was replaced, be it a migration.
        const goesOn = end === "killed" && seen === "new0" && count % 2 === 0;
        if (goesOn) execute(copy, "insert into t values ('later'); create table migrated (y)");
        if (end === "killed") killAt({ op: "return-tables", ...common }, call, Math.ceil(count / 2));
        await sqliteDriver.rollBack(steps, noSignal);
        assert.equal(look(copy), goesOn ? "new,later0" : "new0", `${call} ${count}`);
        assert.equal((await listBeside(place)).filter((name) => name.includes("aside")).length, 0);
        for (const suffix of ["", "-wal", "-shm", "-journal"]) await rm(copy + suffix, { force: true });
        if (end === "ended") break;
        assert.ok(count < 200);
      }
    }
    assert.deepEqual([...outcomes].sort(), ["ended old1", "killed new0", "killed old1"]);
  });
}
