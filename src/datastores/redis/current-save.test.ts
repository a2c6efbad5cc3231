import assert from "node:assert/strict";
import { readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { SwapStep } from "../contract.ts";
import { dumpAll, each, makeContext, quiet } from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, spoil } from "../../../test/support/redis-restore.ts";
import { startRedis, type RedisServer } from "../../../test/support/redis.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { redisDriver } from "./redis.ts";

const countSaves = (server: RedisServer): number => Number(/rdb_saves:(\d+)/.exec(server.call("INFO", "persistence"))?.[1]);

/** An inode's number is soon used again. */
function identifyFile(path: string): string {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return `${ino}:${birthtimeNs}`;
}

async function saveInBackground(server: RedisServer): Promise<void> {
  const before = countSaves(server);
  server.call("BGSAVE");
  const done = /rdb_bgsave_in_progress:0/;
  await waitUntil("it has saved", () => countSaves(server) > before && done.test(server.call("INFO", "persistence")));
}

interface Outcome {
  /** That were made to put the present data aside. */
  readonly saves: number;
  /** Whether what was put aside is the server's own file. */
  readonly linked: boolean;
}

/** Restores, does something between the saving of what is there and the swap, then rolls back: that must bring what was there. */
async function restoreAfter(t: TestContext, server: RedisServer, between: () => unknown): Promise<Outcome> {
  const options = server.options();
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  await using datastore = await redisDriver.configure(options).open(makeContext(directory));
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => void steps.push(step);
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record }, quiet);
  await session.stage(each(entries), quiet);
  await dumpAll(redisDriver, options, directory);
  await between();
  const [present, before, saved] = [server.readDigest(), countSaves(server), identifyFile(server.rdb)];
  await session.swap(record, quiet);
  const saves = countSaves(server) - before;
  const work = steps.find(({ op }) => op === "stage")?.["path"];
  const linked = identifyFile(join(String(work), "former.rdb")) === saved;
  assert.notEqual(server.readDigest(), present);
  await redisDriver.rollBack(steps, quiet, options);
  assert.equal(server.readDigest(), present);
  assert.deepEqual(readdirSync(server.data), ["dump.rdb"]);
  assertMaster(server);
  return { saves, linked };
}

// A server that saves by itself does so once more, when it has the new data.
const settings = { config: ['save ""'] };

test("F59 G6 what the pre-restore backup had the server save is put aside by one more name, when nothing was written since", async (t) => {
  const server = await startRedis(t, settings);
  assert.deepEqual(await restoreAfter(t, server, () => undefined), { saves: 0, linked: true });
});

for (const [what, between] of Object.entries({
  "a write": (server: RedisServer) => server.call("SET", "late", "1"),
  "a write that ends where it began": (server: RedisServer) => server.run([], "SET late 1\nDEL late\n"),
  "a flush": (server: RedisServer) => server.call("FLUSHALL"),
  "a library of functions": (server: RedisServer) =>
    server.call("FUNCTION", "LOAD", "#!lua name=late\nredis.register_function('late', function() return 1 end)"),
})) {
  test(`F59 G6 ${what} after the pre-restore backup is put aside: the server saves once more`, async (t) => {
    const server = await startRedis(t, settings);
    assert.deepEqual(await restoreAfter(t, server, () => between(server)), { saves: 1, linked: false });
  });
}

test("F59 G6 data that came from a master after the pre-restore backup is put aside, although nobody wrote it here", async (t) => {
  const [server, other] = [await startRedis(t, settings), await startRedis(t, settings)];
  other.call("SET", "others", "1");
  const outcome = await restoreAfter(t, server, async () => {
    server.call("REPLICAOF", "127.0.0.1", String(other.port));
    await waitUntil("it has the other's data", () => server.call("EXISTS", "others") === "1");
    server.call("REPLICAOF", "NO", "ONE");
    assert.match(server.call("INFO", "persistence"), /rdb_changes_since_last_save:0/);
  });
  assert.deepEqual(outcome, { saves: 1, linked: false });
});

test("F59 G6 a later save of the same data is as good; another file under the name of the server's is not", async (t) => {
  const server = await startRedis(t, settings);
  assert.deepEqual(await restoreAfter(t, server, () => saveInBackground(server)), { saves: 0, linked: true });
  const former = join(server.directory, "former.rdb");
  await saveInBackground(server);
  renameSync(server.rdb, former);
  const outcome = await restoreAfter(t, server, () => renameSync(former, server.rdb));
  assert.deepEqual(outcome, { saves: 1, linked: false });
});
