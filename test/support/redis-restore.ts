import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { redisDriver } from "../../src/datastores/redis/redis.ts";
import { dumpAll, makeTestDirectory, type Dumped } from "./datastore.ts";
import { fillServer, type RedisServer } from "./redis.ts";

interface Filled {
  readonly directory: string;
  readonly entries: Dumped["entries"];
  readonly digest: string;
}

/** Fills a server and dumps it. */
export async function dumpFilled(t: TestContext, server: RedisServer, options: unknown = server.options()): Promise<Filled> {
  fillServer(server);
  const directory = makeTestDirectory(t);
  const { entries } = await dumpAll(redisDriver, options, directory);
  return { directory, entries, digest: server.readDigest() };
}

/** Other data in place of all there was. */
export function spoil(server: RedisServer): void {
  server.call("FLUSHALL");
  server.call("FUNCTION", "FLUSH");
  server.run([], "SET other 1\nSET more 2\n");
}

/** It takes writes, and its settings for masters are as before. */
export function assertMaster(server: RedisServer): void {
  const replication = server.call("INFO", "replication");
  assert.match(replication, /role:master/);
  assert.equal(server.call("CONFIG", "GET", "masterauth"), "masterauth");
  assert.equal(server.call("SET", "written", "1"), "OK");
  server.call("DEL", "written");
}
