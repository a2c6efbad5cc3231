import assert from "node:assert/strict";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { execute, listBeside, makePlace, noSignal, query } from "../../../test/support/sqlite.ts";
import type { SwapStep } from "../contract.ts";
import { runChild } from "./run-child.ts";
import { sqliteDriver } from "./sqlite.ts";

interface Overwrite {
  readonly path: string;
  readonly aside: string;
  readonly staged: string;
  readonly steps: readonly SwapStep[];
}

const fill = (word: string, rows: number): string =>
  `create table note (x); with recursive n (i) as (select 1 union all select i + 1 from n where i < ${rows})
   insert into note select '${word} ' || i from n`;

/** The steps of an overwrite up to that of the overwrite itself, which has not been made. */
async function prepareOverwrite(dir: string, rows = 3_000): Promise<Overwrite> {
  const [path, aside, staged] = [join(dir, "a.db"), join(dir, ".a.db.holdfast-aside-1"), join(dir, ".a.db.holdfast-1")];
  execute(path, `pragma journal_mode = wal; ${fill("old", rows)}`);
  await copyFile(path, aside);
  execute(staged, fill("restored", rows));
  const cookie = Number(query(path, "pragma schema_version"));
  const steps = [
    { op: "stage", path: staged },
    { op: "copy-aside", path, aside },
    { op: "overwrite", path, aside, cookie, staged, uid: null, gid: null, user: null },
  ];
  return { path, aside, staged, steps };
}

async function overwrite({ path, staged }: Overwrite): Promise<void> {
  await runChild({ op: "overwrite", path, copy: staged, busyTimeoutMs: 1_000 }, { identity: null }, noSignal);
}

for (const rows of [20, 3_000]) {
  test(`F32 F39 G6 ${rows} rows: what an application writes after an overwrite that was never made is not taken away, whatever it does to the schema`, async () => {
    await using place = await makePlace();
    const prepared = await prepareOverwrite(place.dir, rows);
    const { path, steps } = prepared;
    execute(path, "create table added (y); insert into added values (1); insert into note values ('newer')");
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select count(*) from note where x like 'old %' or x = 'newer'"), rows + 1);
    assert.equal(query(path, "select count(*) from added"), 1);
    assert.deepEqual(await listBeside(place), ["a.db"]);
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select count(*) from note"), rows + 1);
  });

  test(`F32 F39 G6 ${rows} rows: an overwrite that was made and could not be noted is undone, though an application has written since`, async () => {
    await using place = await makePlace();
    const prepared = await prepareOverwrite(place.dir, rows);
    const { path, steps } = prepared;
    await overwrite(prepared);
    execute(path, "create table added (y); insert into note values ('newer')");
    await sqliteDriver.rollBack(steps, noSignal);
    assert.equal(query(path, "select count(*) from note where x like 'old %'"), rows);
    assert.equal(query(path, "select count(*) from note"), rows);
    assert.deepEqual(await listBeside(place), ["a.db"]);
  });
}

test("F39 G6 an overwrite of which nobody can tell whether it was made is left alone, and what helps is said", async () => {
  await using place = await makePlace();
  const prepared = await prepareOverwrite(place.dir);
  const { path, aside, steps } = prepared;
  execute(path, `drop table note; vacuum; ${fill("quite another thing altogether", 4_000)}`);
  await assert.rejects(sqliteDriver.rollBack(steps, noSignal), {
    code: "restore-stuck",
    message: new RegExp(`cannot be told whether ${path} was overwritten`),
    hint: new RegExp(`remove ${aside}; else .*holdfast reload`),
  });
  assert.equal(query(path, "select count(*) from note"), 4_000);
  assert.equal(query(aside, "select count(*) from note where x like 'old %'"), 3_000);
  // As the hint says.
  await rm(aside);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(query(path, "select count(*) from note"), 4_000);
  assert.deepEqual(await listBeside(place), ["a.db"]);
});

test("F39 a journal of an older version, which notes no commit, is rolled back by the schema alone", async () => {
  await using place = await makePlace();
  const prepared = await prepareOverwrite(place.dir);
  const { path, staged, steps } = prepared;
  await overwrite(prepared);
  await rm(staged);
  const former = steps.map((step) => Object.fromEntries(Object.entries(step).filter(([name]) => name !== "staged")) as SwapStep);
  await sqliteDriver.rollBack(former, noSignal);
  assert.equal(query(path, "select count(*) from note where x like 'old %'"), 3_000);
});
