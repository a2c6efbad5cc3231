import assert from "node:assert/strict";
import { test } from "node:test";
import { dumpAll, listLeftovers, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { assertMaster } from "../../../test/support/redis-restore.ts";
import { fillServer, startRedis } from "../../../test/support/redis.ts";
import type { SwapStep } from "../contract.ts";
import { redisDriver } from "./redis.ts";

test("F47 a server that would throw restored keys away for want of memory is left as it was", async (t) => {
  const source = await startRedis(t);
  fillServer(source, 12);
  const directory = makeTestDirectory(t);
  const { entries } = await dumpAll(redisDriver, source.options(), directory);
  const used = Number(/used_memory:(\d+)/.exec(source.call("INFO", "memory"))?.[1]);
  // Not so little that it is refused before.
  const server = await startRedis(t, { config: [`maxmemory ${Math.floor(used * 0.88)}`, "maxmemory-policy allkeys-lru"] });
  server.call("SET", "former", "1");
  const before = server.readDigest();
  const steps: SwapStep[] = [];
  const restored = restoreAll(redisDriver, server.options(), directory, entries, { record: (step) => void steps.push(step) });
  await assert.rejects(restored, /its maxmemory is .*: it would throw keys away/);
  await redisDriver.rollBack(steps, quiet, server.options());
  assert.equal(server.readDigest(), before);
  assertMaster(server);
  assert.deepEqual(listLeftovers(server.directory), []);
});
