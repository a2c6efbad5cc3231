import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { compareContents } from "../../base/contents.ts";
import type { SwapStep } from "../contract.ts";
import {
  checkAll,
  dumpAll,
  each,
  listChildren,
  listLeftovers,
  makeContext,
  makeTestDirectory,
  quiet,
  restoreAll,
  type Dumped,
} from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, spoil } from "../../../test/support/redis-restore.ts";
import { findFreePort, makeCertificates, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import { redisDriver } from "./redis.ts";

for (const [title, config] of [
  ["no persistence", []],
  ["saves", ["save 3600 1"]],
  ["append-only files", ["appendonly yes"]],
  ["append-only files and saves", ["appendonly yes", "save 3600 1"]],
] as const) {
  test(`F47 G6 a running server with ${title} is restored to the last key, and keeps it over a restart`, async (t) => {
    const server = await startRedis(t, { config });
    const { directory, entries, digest } = await dumpFilled(t, server);
    spoil(server);
    const { contents } = await checkAll(redisDriver, entries, directory);
    const { staged, found, steps } = await restoreAll(redisDriver, server.options(), directory, entries);
    assert.deepEqual(compareContents(contents, staged), []);
    assert.deepEqual(compareContents(contents, found), []);
    assert.equal(server.readDigest(), digest);
    assertMaster(server);
    await redisDriver.settle(steps, quiet);
    assert.deepEqual(listLeftovers(server.directory), []);
    assert.deepEqual(listChildren(), []);
    if (title === "no persistence") return;
    await server.stop("kill");
    await server.start();
    assert.equal(server.readDigest(), digest);
  });
}

for (const [title, config] of [
  ["an RDB file", ["save 3600 1"]],
  ["append-only files", ["appendonly yes"]],
  ["append-only files of another name", ["appendonly yes", "appendfilename other.aof"]],
] as const) {
  test(`F47 a stopped server with ${title} is restored by its files, and they are put back by a roll-back`, async (t) => {
    const server = await startRedis(t, { config });
    const { directory, entries, digest } = await dumpFilled(t, server);
    spoil(server);
    const spoilt = server.readDigest();
    await server.stop("shutdown");
    const { steps } = await restoreAll(redisDriver, server.options(), directory, entries);
    await server.start();
    assert.equal(server.readDigest(), digest);
    // It saves what it has when it ends, so that none of the files is the one that was placed.
    server.call("SET", "later", "1");
    await server.stop("shutdown");
    for (let time = 0; time < 2; time += 1) {
      await redisDriver.rollBack(steps, quiet);
      assert.deepEqual(listLeftovers(server.directory), []);
    }
    await server.start();
    assert.equal(server.readDigest(), spoilt);
  });
}

test("a server that is stopped after the staging, by a hook, is restored by its files", async (t) => {
  const server = await startRedis(t, { config: ["appendonly yes"] });
  const { directory, entries, digest } = await dumpFilled(t, server);
  spoil(server);
  await using datastore = await redisDriver.configure(server.options()).open(makeContext(directory));
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => void steps.push(step);
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record }, quiet);
  assert.match((await session.inspect(quiet)).method, /replaces everything .* by replication/);
  await session.stage(each(entries), quiet);
  await server.stop("shutdown");
  assert.match((await session.inspect(quiet)).method, /dump\.rdb and .*appendonlydir/);
  await session.swap(record, quiet);
  await session.summarize(quiet);
  await redisDriver.settle(steps, quiet);
  await server.start();
  assert.equal(server.readDigest(), digest);
  assert.deepEqual(listLeftovers(server.directory), []);
});

for (const [title, config, login] of [
  ["a password", ['requirepass "gehe im"', 'masterauth "mast er"'], { password: "gehe im" }],
  ["an ACL user for restores", ["user restorer on >geheim ~* &* +@all"], { restoreConnection: { user: "restorer", password: "geheim" } }],
] as const) {
  test(`W8 a server with ${title} is restored, its credentials as they were`, async (t) => {
    const server = await startRedis(t, { config, ...("password" in login ? { password: login.password } : {}) });
    const options =
      "restoreConnection" in login
        ? server.options({ restoreConnection: { ...login.restoreConnection, socket: server.socket } })
        : server.options();
    const { directory, entries, digest } = await dumpFilled(t, server, options);
    spoil(server);
    const masterauth = server.call("CONFIG", "GET", "masterauth");
    await restoreAll(redisDriver, options, directory, entries);
    assert.equal(server.readDigest(), digest);
    assert.equal(server.call("CONFIG", "GET", "masterauth"), masterauth);
  });
}

test("W8 a server that speaks TLS to its masters is restored on this machine, and speaks it again afterwards", async (t) => {
  const certificates = makeTestDirectory(t);
  const { ca, cert, key } = makeCertificates(certificates);
  const port = await findFreePort();
  const tls = [`tls-port ${port}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${ca}`, "tls-replication yes"];
  const server = await startRedis(t, { config: tls });
  const options = { host: "127.0.0.1", port, tls: { ca, cert, key, serverName: "cache.test" }, waitFor: "0s" };
  const { directory, entries, digest } = await dumpFilled(t, server, options);
  spoil(server);
  await restoreAll(redisDriver, options, directory, entries);
  assert.equal(server.readDigest(), digest);
  assert.match(server.call("CONFIG", "GET", "tls-replication"), /yes$/);
  assertMaster(server);
});

test("a server whose clients go on writing is restored; the plan warns of it", async (t) => {
  const server = await startRedis(t);
  const { directory, entries } = await dumpFilled(t, server);
  const client = spawn("redis-cli", ["-s", server.socket, "-r", "-1", "-i", "0.001", "INCR", "counter"], { stdio: "ignore" });
  t.after(() => client.kill());
  await server.waitFor(/1/, "EXISTS", "counter");
  await using datastore = await redisDriver.configure(server.options()).open(makeContext(directory));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  const { notes, users } = await session.inspect(quiet);
  assert.deepEqual(
    notes.map(({ code }) => code),
    ["clients"],
  );
  assert.equal(users.length, 1);
  await session.stage(each(entries), quiet);
  await session.swap(() => Promise.resolve(), quiet);
  assert.equal(server.call("EXISTS", "key:1"), "1");
});

test("keys that come to their time between the backup and the drill are no loss", async (t) => {
  const server = await startRedis(t);
  server.run([], `SET stays 1\nSET gone 1 PX 1\nSET soon 1 PX 300\nSET later 1 EX 9000\n`);
  const directory = makeTestDirectory(t);
  const { entries } = await dumpAll(redisDriver, server.options(), directory);
  const { contents } = await checkAll(redisDriver, entries, directory);
  await server.waitFor(/0/, "EXISTS", "soon");
  for (const target of [{ kind: "scratch", path: makeTestDirectory(t) } as const, { kind: "original" } as const]) {
    const { found } = await restoreAll(redisDriver, server.options(), directory, entries, { target });
    assert.deepEqual(compareContents(contents, found), []);
  }
  assert.equal(server.call("DBSIZE"), "2");
});

test("G8 a drill loads the data into a server of its own, which is gone afterwards", async (t) => {
  const server = await startRedis(t);
  const { directory, entries } = await dumpFilled(t, server);
  const { contents } = await checkAll(redisDriver, entries, directory);
  const path = makeTestDirectory(t);
  const before = server.readDigest();
  const { found } = await restoreAll(redisDriver, redisDriver.deriveOptions(entries), directory, entries, {
    target: { kind: "scratch", path },
  });
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(server.readDigest(), before);
  assert.deepEqual(listChildren(), []);
  assert.deepEqual(readdirSync(path), ["redis_backup.rdb"]);
});

async function refuse(t: TestContext, server: RedisServer, entries: Dumped["entries"], expected: object, options: unknown): Promise<void> {
  const before = server.readDigest();
  await assert.rejects(restoreAll(redisDriver, options, makeTestDirectory(t), entries), expected);
  assert.equal(server.readDigest(), before);
  assert.deepEqual(listLeftovers(server.directory), []);
}

test("F46 an RDB that is newer than the server is refused before anything is touched", async (t) => {
  // Without a checksum, so that another version can be written into it.
  const server = await startRedis(t, { config: ["rdbchecksum no"] });
  const { entries } = await dumpFilled(t, server);
  const newer = entries.map((entry) => ({
    ...entry,
    open: async function* () {
      for await (const chunk of entry.open(quiet)) {
        const bytes = Buffer.from(chunk);
        if (bytes.toString("latin1", 0, 5) === "REDIS") bytes.write("0099", 5);
        yield bytes;
      }
    },
  }));
  await refuse(t, server, newer, { code: "refused", message: /version 99 .*reads up to/ }, server.options());
});

test("a server that has too few databases would end itself by such data, and is refused", async (t) => {
  const server = await startRedis(t);
  const { entries } = await dumpFilled(t, server);
  const small = await startRedis(t, { config: ["databases 4"] });
  await refuse(t, small, entries, { code: "refused", message: /database 9/ }, small.options());
});

test("a replica, a node of a cluster, and a server that Sentinel watches are refused, with the reason", async (t) => {
  const server = await startRedis(t);
  const { entries } = await dumpFilled(t, server);
  const replica = await startRedis(t);
  replica.call("REPLICAOF", "127.0.0.1", String(server.port));
  await replica.waitFor(/master_link_status:up/, "INFO", "replication");
  await refuse(t, replica, entries, { code: "refused", message: /replica of 127\.0\.0\.1/, hint: /master/ }, replica.options());
  // The port of its bus is else 10,000 higher, among those that Linux gives to outgoing connections.
  const node = await startRedis(t, { config: ["cluster-enabled yes", `cluster-port ${await findFreePort()}`] });
  await refuse(t, node, entries, { code: "refused", message: /cluster/ }, node.options());
  const watched = await startRedis(t);
  const sentinel = spawn("redis-cli", ["-s", watched.socket], { stdio: ["pipe", "ignore", "ignore"] });
  sentinel.stdin.write("CLIENT SETNAME sentinel-12345678-cmd\n");
  await watched.waitFor(/name=sentinel-/, "CLIENT", "LIST");
  await refuse(t, watched, entries, { code: "refused", message: /Sentinel/ }, watched.options());
  sentinel.kill();
});

test("a target that cannot reach the private server keeps its data and is no replica afterwards", async (t) => {
  const server = await startRedis(t, { config: ["repl-timeout 2"] });
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  const spoilt = server.readDigest();
  // A name that never resolves there.
  const options = server.options({ announce: "holdfast.invalid", syncTimeout: "1s" });
  const steps: SwapStep[] = [];
  const record = (step: SwapStep): void => void steps.push(step);
  const failing = restoreAll(redisDriver, options, directory, entries, { record });
  await assert.rejects(failing, { code: "restore-failed", hint: /announce/ });
  await redisDriver.rollBack(steps, quiet, options);
  assert.equal(server.readDigest(), spoilt);
  assertMaster(server);
  assert.deepEqual(listLeftovers(server.directory), []);
});
