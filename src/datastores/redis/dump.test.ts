import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { checkAll, dumpAll, makeContext, makeTestDirectory, quiet, readEntry, type Dumped } from "../../../test/support/datastore.ts";
import { fillServer, makeCertificates, makeRedis, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import { redisDriver } from "./redis.ts";

const replication = { method: "replication", rdbPath: undefined };

async function countDumped(t: TestContext, options: unknown): Promise<{ readonly dumped: Dumped; readonly keys: number }> {
  const directory = makeTestDirectory(t);
  const dumped = await dumpAll(redisDriver, options, directory);
  const { contents } = await checkAll(redisDriver, dumped.entries, directory);
  const counts = Object.entries(contents.counts).filter(([name]) => name.startsWith("keys."));
  return { dumped, keys: counts.reduce((sum, [, count]) => sum + count, 0) };
}

test("W1 by background save and by replication the same data is dumped, under the name that it is to have", async (t) => {
  const server = await startRedis(t);
  fillServer(server);
  for (const options of [server.options({ method: "bgsave" }), server.options(replication)]) {
    const { dumped, keys } = await countDumped(t, options);
    assert.equal(keys, 518);
    assert.deepEqual(
      dumped.entries.map(({ name }) => name),
      ["redis_backup.rdb"],
    );
  }
  const named = await countDumped(t, server.options({ entry: "cache.rdb" }));
  assert.equal(named.dumped.entries[0]?.name, "cache.rdb");
});

test("the stream's end mark is no part of the RDB", async (t) => {
  const server = await startRedis(t, { config: ["rdbchecksum yes"] });
  fillServer(server);
  const { dumped } = await countDumped(t, server.options(replication));
  const bytes = await readEntry(dumped.entries[0]);
  // The last of the file is the code of its end and the checksum.
  assert.equal(bytes.at(-9), 0xff);
});

test("a transfer whose length the server tells beforehand is whole too", async (t) => {
  const server = await startRedis(t, { config: ["repl-diskless-sync no"] });
  fillServer(server);
  const { keys } = await countDumped(t, server.options(replication));
  assert.equal(keys, 518);
});

test("the time that a server waits for other replicas is explained", async (t) => {
  const server = await startRedis(t, { config: ["repl-diskless-sync-delay 1"] });
  server.call("SET", "a", "1");
  const { dumped } = await countDumped(t, server.options(replication));
  assert.deepEqual(
    dumped.notes.map(({ code }) => code),
    ["sync-delay"],
  );
});

for (const [title, extra, login] of [
  ["a password", { password: "p@ss w0rd\"'\\" }, { password: "p@ss w0rd\"'\\" }],
  ["an ACL user with the least rights, by replication", replication, { user: "backup", password: "geheim" }],
  ["an ACL user with the least rights, by background save", { method: "bgsave" }, { user: "backup", password: "geheim" }],
] as const) {
  test(`W8 a server is entered by ${title}`, async (t) => {
    const rights = "+info +time +config|get +psync +replconf +sync +bgsave +ping";
    const password = "user" in login ? undefined : login.password;
    const server = await startRedis(t, {
      config: [
        `user backup on >geheim ~* &* -@all ${rights}`,
        ...(password === undefined ? [] : [`requirepass ${JSON.stringify(password)}`]),
      ],
    });
    const admin = password === undefined ? [] : ["-a", password, "--no-auth-warning"];
    server.run([...admin, "SET", "a", "1"]);
    const { keys } = await countDumped(t, { ...server.options(extra), ...login });
    assert.equal(keys, 1);
  });
}

test("W8 a server is entered by TLS, its name and authority checked", async (t) => {
  const directory = makeTestDirectory(t);
  mkdirSync(join(directory, "certificates"));
  const { ca, cert, key } = makeCertificates(join(directory, "certificates"));
  const bare = await startRedis(t);
  const server = await startRedis(t, {
    config: [`tls-port ${bare.port + 1}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${ca}`],
  });
  server.call("SET", "a", "1");
  const tls = { ca, cert, key, serverName: "cache.test" };
  const options = { url: `rediss://127.0.0.1:${bare.port + 1}`, waitFor: "0s" };
  for (const method of ["replication", "auto"]) assert.equal((await countDumped(t, { ...options, method, tls })).keys, 1);
  await assert.rejects(dumpAll(redisDriver, { ...options, tls: { ...tls, serverName: "other.test" } }, directory), {
    code: "source-unreadable",
  });
  await assert.rejects(dumpAll(redisDriver, { ...options, tls: { cert, key, serverName: "cache.test" } }, directory), {
    code: "source-unreadable",
  });
});

test("F71 a wrong password is told by its remedy, and shown nowhere", async (t) => {
  const server = await startRedis(t, { password: "right" });
  const directory = makeTestDirectory(t);
  for (const method of ["replication", "bgsave", "auto"]) {
    await assert.rejects(dumpAll(redisDriver, server.options({ password: "wr0ng-canary", method }), directory), (error: unknown) => {
      assert.match(String(error), /Cannot dump "member": .*WRONGPASS/);
      assert.doesNotMatch(JSON.stringify([error, String(error)]), /canary/);
      return true;
    });
  }
});

test("F43 a background save that fails is a failure; the older file is never taken", async (t) => {
  const server = await startRedis(t);
  fillServer(server);
  server.call("SAVE");
  const before = readFileSync(server.rdb);
  chmodSync(server.data, 0o555);
  const directory = makeTestDirectory(t);
  await assert.rejects(dumpAll(redisDriver, server.options({ method: "bgsave" }), directory), {
    code: "source-unreadable",
    message: /background save failed/,
    hint: /not writable/,
  });
  assert.deepEqual(readFileSync(server.rdb), before);
});

test("F43 a path that is not the server's own file is refused, however young it is", async (t) => {
  const [server, other] = [await startRedis(t), await startRedis(t)];
  server.call("SET", "a", "1");
  other.call("SAVE");
  await assert.rejects(dumpAll(redisDriver, server.options({ method: "bgsave", rdbPath: other.rdb }), makeTestDirectory(t)), {
    code: "source-changed",
  });
});

test("F44 somebody else's save that is going on is waited for, and is not taken for ours", async (t) => {
  // A save of so many keys takes seconds with a pause after each.
  const server = await startRedis(t);
  server.call("DEBUG", "POPULATE", "2000", "key", "100");
  server.call("CONFIG", "SET", "rdb-key-save-delay", "500");
  server.call("BGSAVE");
  server.call("SET", "written-after-that-began", "1");
  server.call("CONFIG", "SET", "rdb-key-save-delay", "0");
  assert.match(server.call("INFO", "persistence"), /rdb_bgsave_in_progress:1/);
  const { keys } = await countDumped(t, server.options({ method: "bgsave" }));
  assert.equal(keys, 2001);
});

test("a save that takes too long is given up in time", async (t) => {
  const server = await startRedis(t);
  server.call("DEBUG", "POPULATE", "2000", "key", "100");
  server.call("CONFIG", "SET", "rdb-key-save-delay", "10000");
  const options = server.options({ method: "bgsave", saveTimeout: "200ms" });
  await assert.rejects(dumpAll(redisDriver, options, makeTestDirectory(t)), { code: "timeout", hint: /saveTimeout/ });
});

for (const [title, end] of [
  ["is killed", (server: RedisServer) => server.stop("kill")],
  ["is stopped", (server: RedisServer) => server.stop("shutdown")],
] as const) {
  test(`F45 a server that ${title} in mid-dump is a failure`, async (t) => {
    const server = await startRedis(t);
    fillServer(server, 4);
    server.call("CONFIG", "SET", "rdb-key-save-delay", "2000");
    let stopped: Promise<void> | undefined;
    const hooks = {
      firstBytes: () => {
        stopped = end(server);
      },
    };
    await assert.rejects(dumpAll(redisDriver, server.options(replication), makeTestDirectory(t), hooks), { code: "source-unreadable" });
    await stopped;
    assert.notEqual(stopped, undefined);
  });
}

test("W5 a server that is not running is a failure that says so", async (t) => {
  const server = await makeRedis();
  t.after(() => server[Symbol.asyncDispose]());
  for (const place of [{ socket: server.socket }, { host: "127.0.0.1", port: server.port }]) {
    await assert.rejects(dumpAll(redisDriver, { ...place, waitFor: "0s" }, makeTestDirectory(t)), {
      code: "source-missing",
      message: /Cannot dump "member": the server at .* does not answer/,
      hint: /Start the server/,
    });
  }
});

test("W5 a server that is still starting is waited for", async (t) => {
  const server = await makeRedis();
  t.after(() => server[Symbol.asyncDispose]());
  const dumping = countDumped(t, server.options({ waitFor: "30s", optional: false }));
  await server.start();
  assert.equal((await dumping).keys, 0);
});

test("a server that is loading is waited for, and named as what it is when that takes too long", async (t) => {
  const server = await startRedis(t, { config: ["rdbcompression no"] });
  server.call("DEBUG", "POPULATE", "3000", "key", "10");
  server.call("SAVE");
  await server.stop();
  // Not by config: it would hold the save up as well. So many microseconds for each key.
  writeFileSync(join(server.directory, "config"), "\nkey-load-delay 500\nloading-process-events-interval-bytes 1024\n", { flag: "a" });
  const starting = server.start();
  const options = (waitFor: string) => server.options({ method: "replication", waitFor });
  await assert.rejects(dumpAll(redisDriver, options("0s"), makeTestDirectory(t)), (error: unknown) => {
    // Before it listens it is not there at all.
    assert.match(String(error), /LOADING|ENOENT|ECONNREFUSED/);
    return true;
  });
  assert.equal((await countDumped(t, options("30s"))).keys, 3000);
  await starting;
});

test("F46 a server without checksums, and one without data, are pointed out", async (t) => {
  const directory = makeTestDirectory(t);
  const server = await startRedis(t, { config: ["rdbchecksum no"] });
  const empty = await checkAll(redisDriver, (await dumpAll(redisDriver, server.options(), directory)).entries, directory);
  assert.deepEqual(empty.notes.map(({ code, level }) => `${level} ${code}`).sort(), ["warning empty", "warning rdb-no-checksum"]);
});

test("A8 a stored RDB that is cut or changed is found damaged", async (t) => {
  const directory = makeTestDirectory(t);
  const server = await startRedis(t);
  fillServer(server, 0.1);
  const { entries } = await dumpAll(redisDriver, server.options(), directory);
  const [entry] = entries;
  assert.ok(entry !== undefined);
  const bytes = await readEntry(entry);
  const damaged = [bytes.subarray(0, -1), bytes.subarray(0, 1000), Buffer.alloc(0), Buffer.concat([bytes, bytes])];
  for (const body of damaged) {
    const stored = {
      ...entry,
      bytes: body.length,
      open: async function* () {
        yield body;
      },
    };
    await assert.rejects(redisDriver.check(one(stored), makeContext(directory), quiet), { code: "backup-damaged" });
  }
});

async function* one<T>(item: T): AsyncGenerator<T, void, undefined> {
  yield item;
}

test("F45 a replica that has lost its master, or never got its data, is a failure and not an old or empty backup", async (t) => {
  const directory = makeTestDirectory(t);
  const master = await startRedis(t);
  master.call("SET", "key", "1");
  const replica = await startRedis(t, { config: [`replicaof 127.0.0.1 ${master.port}`] });
  const fails = async (server: RedisServer): Promise<void> => {
    for (const method of ["replication", "bgsave"])
      await assert.rejects(
        dumpAll(redisDriver, server.options({ method }), directory),
        /is a replica that has not heard of its master, 127\.0\.0\.1:\d+, (for \d+ s|since it was started)$/,
      );
    await using datastore = await redisDriver.configure(server.options()).open(makeContext(directory));
    await assert.rejects(datastore.probe(quiet), { code: "source-locked" });
  };
  await replica.waitFor(/master_link_status:up/, "INFO", "replication");
  assert.equal((await countDumped(t, replica.options())).keys, 1);
  await master.stop("kill");
  await replica.waitFor(/master_link_status:down/, "INFO", "replication");
  await fails(replica);
  replica.call("REPLICAOF", "NO", "ONE");
  assert.equal((await countDumped(t, replica.options())).keys, 1);
  await fails(await startRedis(t, { config: ["replicaof 127.0.0.1 1"] }));
});
