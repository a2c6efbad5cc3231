import assert from "node:assert/strict";
import { chmod, chown, copyFile, mkdir, readdir, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { compareContents, emptyContents, type Contents } from "../../base/contents.ts";
import type { RestoreTarget, SwapStep } from "../contract.ts";
import {
  asStored,
  dump,
  execute,
  makePlace,
  noSignal,
  openSqlite,
  query,
  recordInto,
  startProgram,
  type Dumped,
  type Place,
} from "../../../test/support/sqlite.ts";
import { sqliteDriver } from "./sqlite.ts";

const nobody = 65_534;
const original: RestoreTarget = { kind: "original" };

function contentsOf(dumped: Dumped): Contents {
  assert.ok(dumped.facts.contents !== undefined);
  return dumped.facts.contents;
}

async function restore(
  place: Place,
  path: string,
  dumped: Dumped,
  target: RestoreTarget = original,
  steps: SwapStep[] = [],
): Promise<SwapStep[]> {
  await using datastore = await openSqlite({ path, busyTimeoutMs: 1_000 }, place.context);
  await using session = await datastore.openRestore(target, { absent: dumped.facts.absent }, noSignal);
  const staged = await session.stage(asStored(dumped), noSignal);
  if (!dumped.facts.absent) assert.deepEqual(compareContents(contentsOf(dumped), staged), []);
  await session.swap(recordInto(steps), noSignal);
  if (!dumped.facts.absent) assert.deepEqual(compareContents(contentsOf(dumped), await session.summarize(noSignal)), []);
  return steps;
}

/** What stands beside the database, ours included. */
async function listBeside(place: Place): Promise<string[]> {
  return (await readdir(place.dir)).filter((name) => name !== "staging").sort();
}

test("D12 P4 G6 dump, change, restore, dump: contents are equal, the marker row is gone", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "memory.db");
  execute(path, "pragma journal_mode = wal; create table messages (x); insert into messages values (1), (2)");
  await chown(path, nobody, nobody);
  await chmod(place.dir, 0o777);
  const dumped = await dump({ path }, place.context);
  execute(path, "insert into messages values ('marker')");
  await chmod(path, 0o640);
  const steps = await restore(place, path, dumped);
  assert.equal(query(path, "select count(*) from messages where x = 'marker'"), 0);
  const { uid, mode } = await stat(path);
  assert.deepEqual([uid, mode & 0o777], [nobody, 0o640], "the present file's owner and mode are kept");
  assert.equal(query(path, "pragma journal_mode"), "wal", "the mode that the database had is kept");
  const again = await dump({ path }, place.context);
  assert.deepEqual(compareContents(contentsOf(dumped), contentsOf(again)), []);
  await sqliteDriver.settle(steps, noSignal);
  await sqliteDriver.settle(steps, noSignal);
  assert.deepEqual(await listBeside(place), ["memory.db"]);
});

test("F32 D12 a database comes back in the mode that it had where nothing is there; else the present one decides", async () => {
  for (const [backedUp, present, expected] of [
    ["wal", undefined, "wal"],
    ["delete", undefined, "delete"],
    ["wal", "delete", "delete"],
    ["delete", "wal", "wal"],
    ["wal", "no database at all", "wal"],
  ] as const) {
    await using place = await makePlace();
    const path = join(place.dir, "memory.db");
    execute(path, `pragma journal_mode = ${backedUp}; create table messages (x); insert into messages values (1), (2)`);
    const dumped = await dump({ path }, place.context);
    for (const name of await listBeside(place)) await rm(join(place.dir, name));
    if (present === "no database at all") await writeFile(path, present);
    else if (present !== undefined) execute(path, `pragma journal_mode = ${present}; create table other (x)`);
    const steps = await restore(place, path, dumped);
    assert.equal(query(path, "pragma journal_mode"), expected, `${backedUp} over ${present}`);
    assert.equal(query(path, "select count(*) from messages"), 2);
    await sqliteDriver.settle(steps, noSignal);
    assert.deepEqual(await listBeside(place), ["memory.db"]);
  }
});

test("F32 M8 a stale -wal never survives beside the restored file, and comes back with a rollback", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "stale.db");
  execute(path, "create table kept (text); insert into kept values ('from the backup')");
  const dumped = await dump({ path }, place.context);
  await using _crasher = await startProgram("sqlite-crasher.ts", [path, "wal-all"]);
  assert.ok(existsSync(`${path}-wal`));
  // The hazard is real: the same file put in place by hand does not read as what was backed up.
  const byHand = join(place.dir, "by-hand.db");
  const body = dumped.entries[0]?.body;
  assert.ok(body?.kind === "file");
  await copyFile(`${path}-wal`, `${byHand}-wal`);
  await copyFile(body.path, byHand);
  assert.notEqual(spawnSync("sqlite3", [byHand, "select group_concat(text) from kept"]).stdout.toString(), "from the backup\n");
  const steps = await restore(place, path, dumped);
  assert.equal(query(path, "select group_concat(text) from kept"), "from the backup");
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, "select count(*) from kept where text = 'only in the WAL'"), 1);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, "select count(*) from kept where text = 'only in the WAL'"), 1);
  assert.deepEqual(
    (await listBeside(place)).filter((name) => name.includes("holdfast")),
    [],
  );
});

for (const mode of ["wal", "delete"]) {
  test(`F32 D5 a restore into a database that an application writes to (${mode}) is one transaction, and loses none of its later writes`, async () => {
    await using place = await makePlace();
    const path = join(place.dir, "live.db");
    execute(path, "create table marker (x); insert into marker values ('old')");
    await using before = await startProgram("sqlite-writer.ts", [path, mode, "1"]);
    await before.stop("stop");
    const dumped = await dump({ path }, place.context);
    execute(path, "update marker set x = 'new'");
    await using writer = await startProgram("sqlite-writer.ts", [path, mode, "5"]);
    const inode = (await stat(path)).ino;
    await using datastore = await openSqlite({ path, busyTimeoutMs: 10_000 }, place.context);
    await using session = await datastore.openRestore(original, { absent: false }, noSignal);
    const facts = await session.inspect(noSignal);
    assert.deepEqual([facts.users, facts.method], [[writer.pid], "writes into the live database in one transaction"]);
    await session.stage(asStored(dumped), noSignal);
    const steps: SwapStep[] = [];
    await session.swap(recordInto(steps), noSignal);
    const summary = await session.summarize(noSignal);
    assert.equal(summary.digests["schema"], contentsOf(dumped).digests["schema"]);
    // The application's next write is seen: it works with the restored database, in the same file.
    const rows = () => Number(spawnSync("sqlite3", [path, ".timeout 5000", "select count(*) from one"]).stdout.toString());
    const seen = rows();
    while (rows() <= seen);
    const report = JSON.parse(await writer.stop("stop")) as { errors: string[]; committed: number; run: string };
    assert.deepEqual(report.errors, []);
    assert.equal(query(path, "select x from marker"), "old");
    assert.equal((await stat(path)).ino, inode);
    assert.equal(query(path, "select count(*) from one"), query(path, "select count(*) from other"));
    assert.equal(query(path, "pragma integrity_check"), "ok");
    // No write after the restore is lost: the numbers that the application counted up run to the last without a gap.
    const first = Number(
      query(path, `select min(cast(substr(text, ${report.run.length + 2}) as integer)) from one where text like '${report.run}%'`),
    );
    assert.equal(query(path, `select count(*) from one where text like '${report.run}%'`), report.committed - first);
    assert.deepEqual(
      steps.map((step) => step["op"]),
      ["copy-aside", "overwrite"],
    );
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select x from marker"), "new", "the rollback writes back what was there");
    execute(path, "update marker set x = 'later'");
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select x from marker"), "later", "a second rollback takes nothing away");
    assert.deepEqual(
      (await listBeside(place)).filter((name) => name.includes("holdfast")),
      [],
    );
  });
}

test("F32 a target that stays locked is target-in-use and is as it was", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "locked.db");
  execute(path, "create table t (x); insert into t values ('old')");
  const dumped = await dump({ path }, place.context);
  execute(path, "update t set x = 'new'");
  {
    await using _holder = await startProgram("sqlite-holder.ts", [path, "exclusive"]);
    await assert.rejects(restore(place, path, dumped), { code: "target-in-use", retryable: true });
  }
  assert.equal(query(path, "select x from t"), "new");
});

test("F32 a reader in rollback-journal mode makes the overwrite fail, not succeed in silence", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "read.db");
  execute(path, "create table t (x); insert into t values ('old')");
  const dumped = await dump({ path }, place.context);
  execute(path, "update t set x = 'new'");
  const steps: SwapStep[] = [];
  {
    await using _holder = await startProgram("sqlite-holder.ts", [path, "read"]);
    await assert.rejects(restore(place, path, dumped, original, steps), { code: "target-in-use" });
  }
  execute(path, "update t set x = 'newer'");
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, "select x from t"), "newer", "what was never overwritten is not written back");
  assert.deepEqual(await listBeside(place), ["read.db"]);
});

test("F32 another page size than an open WAL target's needs the application stopped", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "paged.db");
  execute(path, "pragma page_size = 8192; create table t (x)");
  const dumped = await dump({ path }, place.context);
  await rename(path, `${path}.old`);
  execute(path, "pragma page_size = 4096; pragma journal_mode = wal; create table t (x); insert into t values (1)");
  {
    await using _holder = await startProgram("sqlite-holder.ts", [path, "open"]);
    await assert.rejects(restore(place, path, dumped), { code: "target-in-use", hint: /stop hook/ });
  }
  await restore(place, path, dumped);
  assert.equal(query(path, "pragma page_size"), 8192);
});

test("G6 rollback is right wherever the swap was stopped, and however often it is done", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "stopped.db");
  execute(path, "create table kept (text)");
  const dumped = await dump({ path }, place.context);
  for (let stopAt = 0; ; stopAt += 1) {
    await using _crasher = await startProgram("sqlite-crasher.ts", [path, "wal"]);
    const expected = Number(
      spawnSync("sh", [
        "-c",
        `cp ${path} ${path}-wal ${place.dir}/staging/ && sqlite3 ${place.dir}/staging/stopped.db 'select count(*) from kept'`,
      ]).stdout.toString(),
    );
    assert.ok(expected > 0);
    await using datastore = await openSqlite({ path }, place.context);
    await using session = await datastore.openRestore(original, { absent: false }, noSignal);
    await session.stage(asStored(dumped), noSignal);
    const steps: SwapStep[] = [];
    // Stops after a step was recorded and before it is done; the steps before it have been done.
    const record = async (step: SwapStep) => {
      steps.push(step);
      if (steps.length > stopAt) throw new Error("stopped");
    };
    const finished = await session.swap(record, noSignal).then(
      () => true,
      () => false,
    );
    // The rollback itself is stopped at each of its steps by being given the later ones first.
    for (let from = steps.length; from >= 0; from -= 1) await sqliteDriver.rollBack(steps.slice(from), noSignal);
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select count(*) from kept"), expected, `stopped at ${stopAt}`);
    assert.deepEqual(
      (await listBeside(place)).filter((name) => name.includes("aside")),
      [],
    );
    if (finished) break;
  }
});

test("D6 G6 absence is restored by putting the file aside, and undone", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "extra.db");
  const absent = await dump({ path, optional: true }, place.context);
  assert.deepEqual(absent.facts.contents, emptyContents);
  execute(path, "create table t (x)");
  const steps = await restore(place, path, absent);
  assert.equal(existsSync(path), false);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(existsSync(path), true);
});

test("D10 a restore to where nothing is gives back owner and mode, and its rollback absence", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "gone.db");
  execute(path, "create table t (x)");
  await chown(path, nobody, nobody);
  await chmod(path, 0o660);
  const dumped = await dump(
    sqliteDriver.deriveOptions([{ name: "gone.db", form: "file", sourcePath: path }]) as { path: string },
    place.context,
  );
  await rename(path, join(place.dir, "elsewhere"));
  const steps = await restore(place, path, dumped);
  const { uid, gid, mode } = await stat(path);
  assert.deepEqual([uid, gid, mode & 0o777], [nobody, nobody, 0o660]);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.deepEqual(await listBeside(place), ["elsewhere"]);
});

test("F29 a symbolic link stays a link; what it points to is replaced", async () => {
  await using place = await makePlace();
  await mkdir(join(place.dir, "real"));
  const real = join(place.dir, "real", "data.db");
  const path = join(place.dir, "link.db");
  execute(real, "create table t (x); insert into t values (1)");
  await symlink("real/data.db", path);
  const dumped = await dump({ path }, place.context);
  execute(real, "delete from t");
  await restore(place, path, dumped);
  assert.equal(await readlink(path), "real/data.db");
  assert.equal(query(real, "select count(*) from t"), 1);
});

test("L7 what is no place for a database is target-unsafe, and nothing has been touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  const dumped = await dump({ path }, place.context);
  await mkdir(join(place.dir, "directory"));
  spawnSync("mkfifo", [join(place.dir, "fifo")]);
  const before = await listBeside(place);
  for (const name of ["directory", "fifo", "no/such/dir/a.db"]) {
    await assert.rejects(
      restore(place, join(place.dir, name), dumped),
      { code: "target-unsafe", message: /^Cannot restore "memory": / },
      name,
    );
  }
  assert.deepEqual(await listBeside(place), before);
});

test("L7 a stored copy that is no database is refused before anything is touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  await using datastore = await openSqlite({ path }, place.context);
  for (const bytes of [Buffer.alloc(0), Buffer.from("garbage")]) {
    await using session = await datastore.openRestore(original, { absent: false }, noSignal);
    const entries = (async function* () {
      const open = async function* () {
        yield bytes;
      };
      yield { name: "a.db", form: "file" as const, bytes: bytes.length, sourcePath: path, open };
    })();
    await assert.rejects(session.stage(entries, noSignal), { code: "backup-damaged" });
  }
  assert.deepEqual(await listBeside(place), ["a.db"]);
});

test("F32 a database that is no database any more is replaced like any other file, and comes back with a rollback", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "broken.db");
  execute(path, "create table t (x)");
  const dumped = await dump({ path }, place.context);
  await writeFile(path, "scrambled");
  const steps = await restore(place, path, dumped);
  assert.equal(query(path, "pragma integrity_check"), "ok");
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal((await stat(path)).size, 9);
});

test("G5 D12 a drill's directory gets a file of its own, the original is not touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "app.db");
  execute(path, "create table t (x); insert into t values (1)");
  await chown(path, nobody, nobody);
  const dumped = await dump({ path, entry: "sqlite-backup.db" }, place.context);
  await using holder = await startProgram("sqlite-holder.ts", [path, "exclusive"]);
  const drill = join(place.dir, "staging", "drill");
  await mkdir(drill, { mode: 0o700 });
  await restore(place, path, dumped, { kind: "directory", path: drill });
  assert.deepEqual(await readdir(drill), ["sqlite-backup.db"]);
  await holder.stop();
  assert.deepEqual(await listBeside(place), ["app.db"]);
});

test("a session that is closed before its swap leaves nothing", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  const dumped = await dump({ path }, place.context);
  {
    await using datastore = await openSqlite({ path }, place.context);
    await using session = await datastore.openRestore(original, { absent: false }, noSignal);
    await session.stage(asStored(dumped), noSignal);
    assert.equal((await listBeside(place)).length, 2);
  }
  assert.deepEqual(await listBeside(place), ["a.db"]);
});
