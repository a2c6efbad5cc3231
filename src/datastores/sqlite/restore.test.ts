import assert from "node:assert/strict";
import { chmod, chown, copyFile, rm, stat, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
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
  startProgram,
} from "../../../test/support/sqlite.ts";
import { sqliteDriver } from "./sqlite.ts";

const nobody = 65_534;
const original: RestoreTarget = { kind: "original" };

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
