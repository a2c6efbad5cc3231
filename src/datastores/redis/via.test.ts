import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { checkAll, dumpAll, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { fillServer, putDockerStandIn, startRedis } from "../../../test/support/redis.ts";
import { parseCliReply } from "./cli-connection.ts";
import { redisDriver } from "./redis.ts";

const password = 'canary gehe"im\\';

for (const via of [{ dockerCompose: "cache" }, { docker: "cache" }]) {
  test(`W7 a server in a container is dumped and restored through ${Object.keys(via)[0]}, its password in no argument list`, async (t) => {
    const { log } = putDockerStandIn(t, "cache");
    const server = await startRedis(t, { password });
    fillServer(server);
    const digest = server.readDigest();
    const directory = makeTestDirectory(t);
    const options = { port: server.port, host: "127.0.0.1", password, via, waitFor: "0s", announce: "127.0.0.1" };
    const { entries } = await dumpAll(redisDriver, options, directory);
    const { contents } = await checkAll(redisDriver, entries, directory);
    await using datastore = await redisDriver.configure(options).open(makeContext(directory));
    assert.match((await datastore.probe(quiet)).summary, /Redis .* at 127\.0\.0\.1:\d+ in .*cache.*, by replication/);
    server.call("FLUSHALL");
    const { found, steps } = await restoreAll(redisDriver, options, directory, entries);
    assert.deepEqual(compareContents(contents, found), []);
    assert.equal(server.readDigest(), digest);
    await redisDriver.settle(steps, quiet, options);
    assert.doesNotMatch(readFileSync(log, "utf8"), /canary/);
  });
}

test("W7 a container that does not run is a server that is not there", async (t) => {
  putDockerStandIn(t, "cache");
  const directory = makeTestDirectory(t);
  for (const via of [{ dockerCompose: "other" }, { docker: "other" }]) {
    await assert.rejects(dumpAll(redisDriver, { via, waitFor: "0s" }, directory), { code: "source-missing" });
    const { facts } = await dumpAll(redisDriver, { via, waitFor: "0s", optional: true }, directory);
    assert.equal(facts.absent, true);
  }
});

test("W7 W13 the way into a container is found again from a backup alone", async (t) => {
  putDockerStandIn(t, "cache");
  const server = await startRedis(t);
  const { port } = server;
  for (const via of [{ dockerCompose: "cache", directory: "/", project: "app" }, { docker: "cache" }]) {
    const { entries } = await dumpAll(redisDriver, { port, host: "127.0.0.1", via, waitFor: "0s" }, makeTestDirectory(t));
    assert.deepEqual(redisDriver.deriveOptions(entries), { host: "127.0.0.1", port, via, entry: "redis_backup.rdb" });
  }
});

test("W13 a command that led to the server is in no backup: nothing else here is taken for that server, and its data is had by --to", async (t) => {
  const server = await startRedis(t);
  const directory = makeTestDirectory(t);
  const options = { socket: server.socket, via: { command: ["env"] }, announce: "127.0.0.1", waitFor: "0s" };
  const { entries } = await dumpAll(redisDriver, options, directory);
  assert.ok(entries.every(({ sourcePath }) => sourcePath.endsWith("via=through+env")));
  server.call("SET", "present", "1");
  const derived = redisDriver.deriveOptions(entries);
  const expected = { code: "config-invalid", message: /through a command \(via\)/, hint: /Write a config .*--to/ };
  await assert.rejects(restoreAll(redisDriver, derived, directory, entries), expected);
  assert.equal(server.call("EXISTS", "present"), "1");
  const target = { kind: "directory", path: makeTestDirectory(t) } as const;
  await restoreAll(redisDriver, derived, directory, entries, { target });
});

test("W7 a server in a container whose address for us is not known is not restored live, and told how it can be", async (t) => {
  putDockerStandIn(t, "cache");
  const server = await startRedis(t);
  const directory = makeTestDirectory(t);
  const options = { port: server.port, host: "127.0.0.1", via: { docker: "cache" }, waitFor: "0s" };
  const { entries } = await dumpAll(redisDriver, options, directory);
  await assert.rejects(restoreAll(redisDriver, options, directory, entries), { code: "refused", hint: /announce.*stop hook/ });
});

test("what redis-cli prints is read as what the server said", () => {
  assert.equal(parseCliReply('"a\\n\\"b\\"\\\\ \\x01"'), 'a\n"b"\\ \u0001');
  assert.equal(parseCliReply("(integer) -3"), -3);
  assert.equal(parseCliReply("(nil)"), null);
  assert.deepEqual(parseCliReply('1) "dir"\n2) "/data"'), ["dir", "/data"]);
  assert.equal(parseCliReply("OK"), "OK");
  assert.throws(() => parseCliReply("(error) WRONGPASS no"), /^ReplyError: WRONGPASS no$/);
});
