import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { copyFile, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { isRunning } from "../../../test/support/processes.ts";
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
} from "../../../test/support/sqlite.ts";
import { restoreTables } from "../../../test/support/sqlite-tables.ts";
import { onExit } from "../../../test/support/trees.ts";
import type { SwapStep } from "../contract.ts";
import { sqliteDriver } from "./sqlite.ts";

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
  while (isRunning(line));
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
