import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { execute, makePlace, startProgram } from "../../../test/support/sqlite.ts";
import { findCompanions, findFile, type FoundFile } from "./database-files.ts";
import { findLockers, findUsers } from "./find-users.ts";

async function findAll(path: string): Promise<FoundFile[]> {
  const database = await findFile(path);
  return [...(database === undefined ? [] : [database]), ...(await findCompanions(path))];
}

test("F32 who has a database open is seen by descriptors, and by the kernel's locks alone", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "used.db");
  execute(path, "pragma journal_mode = wal; create table t (x)");
  assert.deepEqual((await findUsers(await findAll(path))).pids, []);
  await using holder = await startProgram("sqlite-holder.ts", [path, "read"]);
  const files = await findAll(path);
  assert.deepEqual((await findUsers(files)).pids, [holder.pid]);
  assert.deepEqual([...new Set(await findLockers(files))], [holder.pid]);
  await holder.stop();
  assert.deepEqual((await findUsers(await findAll(path))).pids, []);
});
