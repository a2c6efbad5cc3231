import assert from "node:assert/strict";
import { chmod, chown, mkdir, readdir, readFile, rename, stat } from "node:fs/promises";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { dump, execute, makePlace, pathOf, query, startProgram } from "../../../test/support/sqlite.ts";
import { findFile } from "./database-files.ts";
import { findUsers } from "./find-users.ts";
import { describeWalGrowth } from "../sqlite-files/snapshot.ts";

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
  await assert.rejects(dump({ path }, place.context), (error) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.code, "source-unreadable");
    assert.equal(error.message, `Cannot dump "memory": ${path}: unable to open database file (SQLITE_CANTOPEN)`);
    assert.match(error.hint ?? "", /write to its directory/);
    return true;
  });
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

test("F25 a WAL that grew much while the database was copied is told", () => {
  const mib = 1024 * 1024;
  assert.deepEqual(
    describeWalGrowth(0, 100 * mib, 200 * mib).map(({ level, code }) => [level, code]),
    [["warning", "wal-growth"]],
  );
  assert.deepEqual(describeWalGrowth(0, 100 * mib, 1_000 * mib), [], "a tenth of the database");
  assert.deepEqual(describeWalGrowth(50 * mib, 100 * mib, mib), [], "50 MiB");
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
