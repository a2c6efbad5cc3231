import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { checkAll, dumpAll, each, listLeftovers, makeContext, makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { fillServer, putDockerStandIn, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import type { RestoreOptions, SwapStep } from "../contract.ts";
import { redisDriver } from "./redis.ts";

/** A server in a container that has no way to this machine; its volume is here. */
async function openRestore(t: TestContext, restoring: Pick<RestoreOptions, "application">) {
  putDockerStandIn(t, "cache");
  const server: RedisServer = await startRedis(t, { config: ["appendonly yes"] });
  fillServer(server);
  const directory = makeTestDirectory(t);
  const options = { port: server.port, host: "127.0.0.1", via: { dockerCompose: "cache" }, rdbPath: server.rdb, waitFor: "0s" };
  const { entries } = await dumpAll(redisDriver, options, directory);
  const { contents } = await checkAll(redisDriver, entries, directory);
  const digest = server.readDigest();
  server.call("FLUSHALL");
  server.call("SET", "other", "1");
  const datastore = await redisDriver.configure(options).open(makeContext(directory));
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => void steps.push(step);
  const session = await datastore.openRestore({ kind: "original" }, { absent: false, record, ...restoring }, quiet);
  t.after(() => session[Symbol.asyncDispose]());
  return { server, options, entries, contents, digest, steps, record, session };
}

test("W7 F47 in a container that cannot reach this machine: stopped by a stop command, its files replaced, started", async (t) => {
  const { server, options, entries, contents, digest, steps, record, session } = await openRestore(t, { application: "stopped" });
  const before = await session.inspect(quiet);
  assert.match(before.method, /^replaces .*dump\.rdb and .*appendonlydir, once the stop commands have stopped the server$/);
  assert.ok(before.users.length > 0, "it is looked at again after the stop");
  await session.stage(each(entries), quiet);
  assert.equal(server.call("GET", "other"), "1");
  await server.stop("shutdown");
  const stopped = await session.inspect(quiet);
  assert.deepEqual([stopped.present, stopped.users], [true, []]);
  await session.swap(record, quiet);
  assert.deepEqual(compareContents(contents, await session.summarize(quiet)), []);
  await server.start();
  assert.equal(server.readDigest(), digest);
  await redisDriver.settle(steps, quiet, options);
  assert.deepEqual(listLeftovers(server.directory), []);
});

test("W7 when the stop command has not stopped it, nothing is touched, and the reason is told", async (t) => {
  const { server, options, entries, steps, record, session } = await openRestore(t, { application: "stopped" });
  await session.inspect(quiet);
  await session.stage(each(entries), quiet);
  await assert.rejects(session.swap(record, quiet), { code: "refused", hint: /announce.*stop hook/ });
  await redisDriver.rollBack(steps, quiet, options);
  assert.equal(server.call("GET", "other"), "1");
  assert.deepEqual(listLeftovers(server.directory), []);
});

test("W7 without stop commands it is refused before anything is staged", async (t) => {
  const { session } = await openRestore(t, { application: "may-run" });
  await assert.rejects(session.inspect(quiet), { code: "refused", hint: /announce.*stop hook/ });
});
