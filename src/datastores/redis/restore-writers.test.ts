import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Redis } from "ioredis";
import { each, makeContext, quiet } from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, killInSwap, spoil } from "../../../test/support/redis-restore.ts";
import { findFreePort, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import type { SwapStep } from "../contract.ts";
import { redisDriver } from "./redis.ts";

interface Writer {
  /** Resolves with the numbers whose writing the server has acknowledged, one key each. */
  stop(): Promise<readonly string[]>;
  /** Resolves when so many more writes have been acknowledged. */
  waitForWrites(count: number): Promise<void>;
}

/** A client that writes all the time, one key after the other, whatever it is told. */
async function startWriter(t: TestContext, server: RedisServer): Promise<Writer> {
  const client = new Redis({ path: server.socket, maxRetriesPerRequest: 0 });
  const written: string[] = [];
  const state = { isStopped: false };
  t.after(() => {
    // Else it would go on being refused for ever.
    state.isStopped = true;
    client.disconnect();
  });
  let waiting: { readonly from: number; readonly resolve: () => void } | undefined;
  const running = (async () => {
    for (let number = 0; !state.isStopped; number += 1) {
      const key = `written:${number}`;
      await client.set(key, "1").then(
        () => written.push(key),
        () => undefined,
      );
      if (waiting !== undefined && written.length >= waiting.from) waiting.resolve();
    }
  })();
  const waitForWrites = async (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const late = (): void =>
        reject(new Error(`only ${written.length} writes were acknowledged, of which ${count} new ones were waited for`));
      const timer = setTimeout(late, 60_000);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      waiting = { from: written.length + count, resolve: done };
    });
  await waitForWrites(10);
  return {
    waitForWrites,
    async stop() {
      state.isStopped = true;
      await running;
      return written;
    },
  };
}

function assertWritten(server: RedisServer, written: readonly string[]): void {
  const there = new Set(server.call("KEYS", "*").split("\n"));
  const lost = written.filter((key) => !there.has(key));
  assert.deepEqual(lost, [], `${lost.length} of ${written.length} are lost`);
  assert.ok(there.has("other"));
}

// Not later: what is written once the restored data is in place and the server takes writes again is written to that data.
for (const method of ["bgsave", "replication"]) {
  test(`F59 G6 every write that is acknowledged before a restore is killed, the present data saved by ${method}, and after, is there`, async (t) => {
    const server = await startRedis(t, { config: ["loading-process-events-interval-bytes 1024"] });
    const options = server.options({ announcePort: await findFreePort(), method });
    const { directory, entries } = await dumpFilled(t, server);
    spoil(server);
    server.call("CONFIG", "SET", "key-load-delay", "1000");
    const writer = await startWriter(t, server);
    const steps = await killInSwap(server, directory, options, entries, /loading:1/);
    await redisDriver.rollBack(steps, quiet, options);
    assertMaster(server);
    await writer.waitForWrites(10);
    assertWritten(server, await writer.stop());
  });
}

test("F59 G6 a restore that fails before anything is replaced lets waiting writes go on, and none is lost", async (t) => {
  const server = await startRedis(t);
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  const writer = await startWriter(t, server);
  const steps: SwapStep[] = [];
  {
    await using datastore = await redisDriver.configure(server.options()).open(makeContext(directory));
    await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
    await session.stage(each(entries), quiet);
    const record = async (step: SwapStep): Promise<void> => {
      steps.push(step);
      throw new Error("no space");
    };
    await assert.rejects(session.swap(record, quiet), /no space/);
  }
  await writer.waitForWrites(10);
  await redisDriver.rollBack(steps, quiet, server.options());
  assertWritten(server, await writer.stop());
});

test("where writes cannot be held up the plan says what is lost, and the restore is made all the same", async (t) => {
  const restorer = "user restorer on >geheim ~* &* +@all -client|pause";
  const server = await startRedis(t, { config: [restorer] });
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  const writer = await startWriter(t, server);
  const login = { user: "restorer", password: "geheim", socket: server.socket };
  for (const [options, says] of [
    [server.options(), /if that fails, nothing of it is lost$/],
    [server.options({ restoreConnection: login }), /is lost, even if it is rolled back: .*CLIENT PAUSE$/],
  ] as const) {
    await using datastore = await redisDriver.configure(options).open(makeContext(directory));
    await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
    const [note] = (await session.inspect(quiet)).notes;
    assert.match(note?.message ?? "", says);
    await session.stage(each(entries), quiet);
    await session.swap(() => Promise.resolve(), quiet);
    assert.equal(server.call("EXISTS", "key:1"), "1");
    await writer.waitForWrites(10);
  }
  await writer.stop();
});

test("F59 a server that takes writes as a replica takes none while it is restored, and is as before after", async (t) => {
  const server = await startRedis(t, { config: ["replica-read-only no", "loading-process-events-interval-bytes 1024"] });
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  const writer = await startWriter(t, server);
  await using datastore = await redisDriver.configure(server.options()).open(makeContext(directory));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  await session.stage(each(entries), quiet);
  server.call("CONFIG", "SET", "key-load-delay", "1000");
  await session.swap(() => Promise.resolve(), quiet);
  assert.equal(server.call("EXISTS", "key:1"), "1");
  assert.match(server.call("CONFIG", "GET", "replica-read-only"), /no$/);
  await writer.waitForWrites(10);
  await writer.stop();
  assertMaster(server);
});
