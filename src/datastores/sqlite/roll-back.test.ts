import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { link, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makePlace, noSignal } from "../../../test/support/sqlite.ts";
import type { SwapStep } from "../contract.ts";
import { sqliteDriver } from "./sqlite.ts";

interface Swapped {
  readonly path: string;
  readonly aside: string;
  readonly staged: string;
  readonly steps: readonly SwapStep[];
}

/** A swap of two small files as the driver makes it, with nothing done yet. */
async function prepareSwap(dir: string): Promise<Swapped> {
  const [path, aside, staged] = [join(dir, "a.db"), join(dir, ".a.db.holdfast-aside-1"), join(dir, ".a.db.holdfast-1")];
  await writeFile(path, "old");
  await writeFile(`${path}-wal`, "old wal");
  await writeFile(staged, "new");
  const step = async (op: string, from: string, to: string) => {
    const { birthtimeNs, ino } = await stat(from, { bigint: true });
    return { op, from, to, birth: String(birthtimeNs), ino: Number(ino) };
  };
  return {
    path,
    aside,
    staged,
    steps: [await step("move", `${path}-wal`, `${aside}-wal`), await step("move", path, aside), await step("place", staged, path)],
  };
}

async function assertAsItWas(dir: string, path: string): Promise<void> {
  assert.equal(await readFile(path, "utf8"), "old");
  assert.equal(await readFile(`${path}-wal`, "utf8"), "old wal");
  assert.deepEqual((await readdir(dir)).sort(), ["a.db", "a.db-wal", "staging"]);
}

test("G6 a swap that died between the two halves of a rename is rolled back", async () => {
  await using place = await makePlace();
  const { path, aside, staged, steps } = await prepareSwap(place.dir);
  await rename(`${path}-wal`, `${aside}-wal`);
  await rename(path, aside);
  await link(staged, path);
  await sqliteDriver.rollBack(steps, noSignal);
  await assertAsItWas(place.dir, path);
});

test("G6 a rollback that died between the two halves of a rename goes on", async () => {
  await using place = await makePlace();
  const { path, aside, staged, steps } = await prepareSwap(place.dir);
  await rename(`${path}-wal`, `${aside}-wal`);
  await rename(path, aside);
  await link(aside, path);
  await rm(staged);
  await sqliteDriver.rollBack(steps, noSignal);
  await assertAsItWas(place.dir, path);
});

test("F32 a rollback removes what the application has put beside the restored file", async () => {
  await using place = await makePlace();
  const { path, aside, staged, steps } = await prepareSwap(place.dir);
  await rename(`${path}-wal`, `${aside}-wal`);
  await rename(path, aside);
  await rename(staged, path);
  await writeFile(`${path}-wal`, "the restored one's wal");
  await writeFile(`${path}-shm`, "the restored one's shm");
  await sqliteDriver.rollBack(steps, noSignal);
  await assertAsItWas(place.dir, path);
});

test("G6 a rollback that finds somebody else's file says where both are and removes neither", async () => {
  await using place = await makePlace();
  const { path, aside, staged, steps } = await prepareSwap(place.dir);
  await rename(`${path}-wal`, `${aside}-wal`);
  await rename(path, aside);
  await writeFile(path, "somebody else's");
  await assert.rejects(sqliteDriver.rollBack(steps, noSignal), {
    code: "restore-stuck",
    message: new RegExp(`created ${path}; what was there before is ${aside}`),
  });
  assert.equal(await readFile(path, "utf8"), "somebody else's");
  assert.equal(await readFile(aside, "utf8"), "old");
  assert.equal(existsSync(staged), false);
});

test("G6 settling removes what was put aside, and only that", async () => {
  await using place = await makePlace();
  const { path, aside, staged, steps } = await prepareSwap(place.dir);
  await rename(`${path}-wal`, `${aside}-wal`);
  await rename(path, aside);
  await rename(staged, path);
  await writeFile(`${aside}-wal.other`, "not ours");
  await sqliteDriver.settle(steps, noSignal);
  await sqliteDriver.settle(steps, noSignal);
  assert.deepEqual((await readdir(place.dir)).sort(), [".a.db.holdfast-aside-1-wal.other", "a.db", "staging"]);
  assert.equal(await readFile(path, "utf8"), "new");
});

test("a step that this version does not know is refused before anything is done", async () => {
  await assert.rejects(sqliteDriver.rollBack([{ op: "teleport" }], noSignal), { code: "state-newer" });
  await assert.rejects(sqliteDriver.rollBack([{ op: "move", from: "/a" }], noSignal), { code: "state-newer" });
});
