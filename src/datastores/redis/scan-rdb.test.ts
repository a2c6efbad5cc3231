import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { fillServer, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import { describeScan } from "./rdb-contents.ts";
import { scanRdb, type RdbScan } from "./scan-rdb.ts";

async function* cut(bytes: Buffer, pieceBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

const scan = (bytes: Buffer, pieceBytes = 65_536, nowMs = Date.now()): Promise<RdbScan> => scanRdb(cut(bytes, pieceBytes), nowMs);

function save(server: RedisServer): Buffer {
  server.call("SAVE");
  return readFileSync(server.rdb);
}

async function saveFilled(t: TestContext, config: readonly string[] = []): Promise<Buffer> {
  const server = await startRedis(t, { config });
  fillServer(server);
  return save(server);
}

const filled = {
  "keys.db0": 500,
  "expires.db0": 0,
  "keys.db3": 17,
  "expires.db3": 1,
  "keys.db9": 1,
  "expires.db9": 1,
  functions: 1,
};

test("an RDB with every kind of value is counted by database, with its times to live and functions", async (t) => {
  const bytes = await saveFilled(t);
  const { counts, facts, digests } = describeScan(await scan(bytes));
  assert.deepEqual(counts, filled);
  assert.equal(facts["checksum"], "right");
  assert.match(String(facts["serverVersion"]), /^\d+\.\d+\.\d+$/);
  assert.ok(Number(facts["usedMemory"]) > 1_000_000);
  assert.deepEqual(Object.keys(digests).sort(), ["functions", "persistent.db0", "persistent.db3", "persistent.db9"]);
});

const plainEncodings = ["hash", "zset"].map((kind) => `${kind}-max-listpack-entries 0`);
for (const [title, config] of [
  ["compact encodings turned off", [...plainEncodings, "set-max-intset-entries 0", "list-max-listpack-size 1", "list-compress-depth 1"]],
  ["strings not compressed", ["rdbcompression no"]],
  ["least frequently used policy", ["maxmemory 1gb", "maxmemory-policy allkeys-lfu"]],
  ["least recently used policy", ["maxmemory 1gb", "maxmemory-policy allkeys-lru"]],
  ["streams of small nodes", ["stream-node-max-entries 1"]],
] as const) {
  test(`the same data in another form has the same contents: ${title}`, async (t) => {
    const [usual, other] = [await saveFilled(t), await saveFilled(t, config)];
    assert.notDeepEqual(usual, other);
    const [one, two] = [describeScan(await scan(usual)), describeScan(await scan(other))];
    assert.deepEqual(two.counts, one.counts);
    assert.deepEqual(two.digests, one.digests);
  });
}

test("what is read does not depend on where its pieces end", async (t) => {
  const server = await startRedis(t);
  fillServer(server, 0.01);
  const bytes = save(server);
  const whole = await scan(bytes);
  for (const pieceBytes of [1, 2, 3, 7, 40, 4096, 10_007]) assert.deepEqual(await scan(bytes, pieceBytes), whole);
});

test("an empty dataset has no keys, and is sound", async (t) => {
  const found = await scan(save(await startRedis(t)));
  assert.deepEqual(describeScan(found).counts, { functions: 0 });
  assert.equal(found.checksum, "right");
});

test("keys that have come to their time are counted apart, keys without a time are not among them", async (t) => {
  const server = await startRedis(t);
  server.run([], "SET stays 1\nSET soon 1 PX 600000\nSET later 1 EX 90000\n");
  const bytes = save(server);
  const database = async (nowMs: number) => (await scan(bytes, 4096, nowMs)).databases.get(0);
  assert.deepEqual(pick(await database(Date.now())), { keys: 3, expires: 2, alive: 2 });
  assert.deepEqual(pick(await database(Date.now() + 601_000)), { keys: 3, expires: 2, alive: 1 });
});

function pick(database: RdbScan["databases"] extends ReadonlyMap<number, infer D> ? D | undefined : never): unknown {
  return { keys: database?.keys, expires: database?.expires, alive: database?.alive };
}

test("another name of a key is another content", async (t) => {
  const server = await startRedis(t);
  server.call("SET", "one", "1");
  const before = describeScan(await scan(save(server)));
  server.call("RENAME", "one", "two");
  const after = describeScan(await scan(save(server)));
  assert.deepEqual(after.counts, before.counts);
  assert.notDeepEqual(after.digests, before.digests);
});

test("A8 every cut, and every changed byte, of an RDB is noticed", async (t) => {
  const server = await startRedis(t);
  fillServer(server, 0.002);
  const bytes = save(server);
  for (let at = 0; at < bytes.length; at += 13) await assert.rejects(scan(bytes.subarray(0, at)), { code: "backup-damaged" });
  for (let at = 0; at < bytes.length; at += 17) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
    await assert.rejects(scan(changed), { code: "backup-damaged" }, `byte ${at}`);
  }
  await assert.rejects(scan(Buffer.concat([bytes, Buffer.from("x")])), { code: "backup-damaged", message: /more after its end/ });
});

test("F46 an RDB without a checksum is read, and said to have none", async (t) => {
  const bytes = await saveFilled(t, ["rdbchecksum no"]);
  const found = await scan(bytes);
  assert.equal(found.checksum, "absent");
  assert.deepEqual(describeScan(found).counts, filled);
});

test("a file of a version that nobody knows yet is not called damaged, and its keys are not counted", async (t) => {
  const bytes = Buffer.concat([Buffer.from("REDIS0099"), Buffer.from([0xc8, 1, 2, 3])]);
  const found = await scan(bytes);
  assert.equal(typeof found.unknown, "string");
  assert.deepEqual(describeScan(found).counts, {});
  t.diagnostic(found.unknown ?? "");
});
