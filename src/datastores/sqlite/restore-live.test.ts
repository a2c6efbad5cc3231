import assert from "node:assert/strict";
import { rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { RestoreTarget, SwapStep } from "../contract.ts";
import {
  contentsOf,
  listBeside,
  restore,
  asStored,
  dump,
  execute,
  makePlace,
  noSignal,
  openSqlite,
  query,
  recordInto,
  startProgram,
} from "../../../test/support/sqlite.ts";
import { sqliteDriver } from "./sqlite.ts";

const original: RestoreTarget = { kind: "original" };

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
      ["copy-aside", "overwrite", "overwritten"],
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

test("F32 F60 G6 while nobody has stopped the application, a database that is not open either is overwritten in place: its name is never free", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "often-opened.db");
  execute(path, "pragma journal_mode = wal; create table t (x); insert into t values ('old')");
  const dumped = await dump({ path }, place.context);
  execute(path, "update t set x = 'new'");
  const inode = (await stat(path)).ino;
  const swapWith = async (application: "stopped" | "may-run"): Promise<readonly unknown[]> => {
    await using datastore = await openSqlite({ path }, place.context);
    await using session = await datastore.openRestore(original, { absent: false, application }, noSignal);
    await session.stage(asStored(dumped), noSignal);
    const steps: SwapStep[] = [];
    await session.swap(recordInto(steps), noSignal);
    await sqliteDriver.settle(steps, noSignal);
    return steps.map((step) => step["op"]);
  };
  assert.deepEqual(await swapWith("may-run"), ["copy-aside", "overwrite", "overwritten"]);
  assert.deepEqual([query(path, "select x from t"), (await stat(path)).ino], ["old", inode]);
  // What cannot be written into, because it is no database, is replaced.
  await writeFile(path, Buffer.alloc(8192, 0x5a));
  assert.deepEqual((await swapWith("may-run")).slice(-1), ["place"]);
  assert.equal(query(path, "select x from t"), "old");
  // An application that has been stopped allows the plain way.
  assert.deepEqual((await swapWith("stopped")).slice(-1), ["place"]);
});
