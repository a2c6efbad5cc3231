import assert from "node:assert/strict";
import { test } from "node:test";
import { makeContext, makeTestDirectory } from "../../../test/support/datastore.ts";
import { startRedis } from "../../../test/support/redis.ts";
import { redisDriver } from "./redis.ts";

const signal = new AbortController().signal;

test("A14 what a plan tells of a running server: its keys, and how much has changed since its last save, never a guess of when", async (t) => {
  const server = await startRedis(t);
  server.call("SET", "a", "1");
  server.call("SET", "b", "2", "EX", "1000");
  await using datastore = await redisDriver.configure(server.options()).open(makeContext(makeTestDirectory(t)));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, signal);
  const { changes, newestChangeAtMs } = await session.inspect(signal);
  assert.equal(newestChangeAtMs, undefined);
  assert.match(changes ?? "", /^2 changes since its last save or start, \d{4}-/);
  assert.deepEqual(await session.count?.(signal), { "keys.db0": 2, "expires.db0": 1 });
  server.call("SAVE");
  assert.match((await session.inspect(signal)).changes ?? "", /^nothing since its last save or start, \d{4}-/);
});
