import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { after, before, test } from "node:test";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runRestore } from "../../src/operations/restore.ts";
import { useDirectHooks } from "../support/direct-hooks.ts";
import { openRedis } from "../support/redis.ts";
import { openRestoreBed } from "../support/restore-bed.ts";
import {
  backUp,
  copyWorld,
  describeRestore,
  makeWorld,
  never,
  quietPorts,
  readData,
  worldPaths,
  type SmallWorld,
} from "../support/small-world.ts";

let world: SmallWorld & AsyncDisposable;
let backup: BackupResult;
useDirectHooks();
before(async () => {
  world = await makeWorld();
  backup = await backUp(world, "directory", ["memory"]);
  rmSync(worldPaths(world.root).database);
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

for (const layout of ["directory", "archive", "file"] as const) {
  test(`D6 F62 that nothing was there is saved, too, and undone: layout ${layout}`, async () => {
    await using copy = copyWorld(world);
    const { database } = worldPaths(copy.root);
    const setup = describeRestore(copy, backup, ["memory"]);
    const { preRestore } = await runRestore({ ...setup, preRestore: { ...setup.preRestore, layout } }, quietPorts, never);
    assert.ok(existsSync(database));
    assert.ok(preRestore !== undefined);
    assert.deepEqual(
      preRestore.manifest.members.map(({ datastore, status }) => `${datastore} ${status}`),
      ["memory absent"],
    );
    await runRestore(describeRestore(copy, preRestore, ["memory"]), quietPorts, never);
    assert.ok(!existsSync(database));
  });
}

test("D10 where nothing was there, and that cannot be noted, the restore is made all the same, and says that there is no undo", async () => {
  await using copy = copyWorld(world);
  const setup = describeRestore(copy, backup, ["memory"]);
  const told: string[] = [];
  const ports = { ...quietPorts, log: (_level: string, message: string) => void told.push(message) };
  const destination = { name: "gone", kind: "local", options: { path: "/nonexistent/place" } };
  const { preRestore } = await runRestore({ ...setup, preRestore: { ...setup.preRestore, destination } }, ports, never);
  assert.equal(preRestore, undefined);
  assert.ok(existsSync(worldPaths(copy.root).database));
  assert.match(told.join("\n"), /Nothing was there, and that could not be noted, so there will be no undo/);
});

test("D10 where something was there, and it cannot be saved, nothing is touched", async () => {
  await using whole = await makeWorld();
  const kept = await backUp(whole, "directory", ["memory"]);
  const old = readData(whole);
  const setup = describeRestore(whole, kept, ["memory"]);
  const destination = { name: "gone", kind: "local", options: { path: "/nonexistent/place" } };
  await assert.rejects(
    runRestore({ ...setup, preRestore: { ...setup.preRestore, destination } }, quietPorts, never),
    /cannot be saved first/,
  );
  assert.equal(readData(whole), old);
});

test("D6 A14 a Redis that is there and empty, and optional, is restored like any other, and emptied again by the undo", async () => {
  await using server = await openRedis();
  await using bed = await openRestoreBed("redis");
  const cache = server.options({ optional: true });
  server.call("SET", "key", "value");
  const filled = await bed.backup({ cache });
  server.call("FLUSHALL");
  const { preRestore } = await bed.restore(filled, { cache });
  assert.equal(server.call("GET", "key"), "value");
  assert.ok(preRestore !== undefined);
  await bed.restore(preRestore, { cache });
  assert.equal(server.call("DBSIZE"), "0");
});
