import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { SwapStep } from "../contract.ts";
import { each, listLeftovers, makeContext, quiet } from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, killInSwap, spoil } from "../../../test/support/redis-restore.ts";
import { findFreePort, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import { redisDriver } from "./redis.ts";

const moments = {
  "it follows the private server": /role:slave/,
  "it loads what it was sent": /loading:1/,
  "its data is replaced": /master_link_status:up|master_replid2:(?!0{40})/,
} as const;

for (const [until, pattern] of Object.entries(moments)) {
  test(`F1 G6 a restore that is killed when ${until} is rolled back, and the server takes writes again`, async (t) => {
    const server = await startRedis(t, {
      config: ["appendonly yes", "loading-process-events-interval-bytes 1024", "replica-read-only no"],
    });
    const { directory, entries } = await dumpFilled(t, server);
    spoil(server);
    // Microseconds for each key.
    if (until.includes("loads")) server.call("CONFIG", "SET", "key-load-delay", "2000");
    const spoilt = server.readDigest();
    const port = await findFreePort();
    const options = server.options({ announcePort: port });
    const steps = await killInSwap(server, directory, options, entries, pattern);
    for (let time = 0; time < 2; time += 1) {
      await redisDriver.rollBack(steps, quiet, options);
      assert.equal(server.readDigest(), spoilt);
      assertMaster(server);
      assert.match(server.call("CONFIG", "GET", "replica-read-only"), /no$/);
    }
    assert.deepEqual(listLeftovers(server.directory), []);
    await server.stop("kill");
    await server.start();
    assert.equal(server.readDigest(), spoilt);
  });
}

interface Killed {
  readonly server: RedisServer;
  readonly directory: string;
  readonly steps: readonly SwapStep[];
  readonly former: string;
}

/** A restore that is killed when the data is replaced; the former data is such that it takes a while to load it again. */
async function killReplaced(t: TestContext): Promise<Killed> {
  const server = await startRedis(t, { config: ["appendonly yes", "loading-process-events-interval-bytes 1024"] });
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  server.call("EVAL", "for i = 1, 300 do redis.call('SET', 'former:' .. i, string.rep('x', 2000)) end", "0");
  const former = server.readDigest();
  return {
    server,
    directory,
    former,
    steps: await killInSwap(server, directory, server.options(), entries, moments["its data is replaced"]),
  };
}

/** Resolves when the server does as told with what a private server of the roll-back, not of the restore, sends it. */
async function waitForRollBack({ server, steps }: Killed, doing: string): Promise<void> {
  const first = String(steps.find(({ op }) => op === "replace")?.["port"]);
  for (const endAt = performance.now() + 60_000; ; await pause(1)) {
    const info = server.call("INFO");
    const port = /master_port:(\d+)/.exec(info)?.[1];
    if (info.includes(doing) && port !== undefined && port !== first) return;
    if (performance.now() > endAt) assert.fail(`the roll-back never came so far: ${doing}`);
  }
}

async function assertRolledBack({ server, steps, former }: Killed): Promise<void> {
  server.call("CONFIG", "SET", "key-load-delay", "0");
  for (let time = 0; time < 2; time += 1) {
    await redisDriver.rollBack(steps, quiet, server.options());
    assert.equal(server.readDigest(), former);
    assertMaster(server);
  }
  assert.deepEqual(listLeftovers(server.directory), []);
}

const roller = new URL("redis.ts", import.meta.url).href;

for (const doing of ["role:slave", "loading:1"]) {
  test(`F1 G6 a roll-back that is killed while the server follows its private server (${doing}) is done by the next one`, async (t) => {
    const killed = await killReplaced(t);
    const { server, directory, steps } = killed;
    server.call("CONFIG", "SET", "key-load-delay", "5000");
    const program = join(directory, "roll-back.ts");
    const args = `${JSON.stringify(steps)}, new AbortController().signal, ${JSON.stringify(server.options())}`;
    writeFileSync(program, `import { redisDriver } from ${JSON.stringify(roller)};\nawait redisDriver.rollBack(${args});`);
    const child = spawn(process.execPath, [program], { stdio: ["ignore", "ignore", "inherit"], detached: true });
    try {
      await waitForRollBack(killed, doing);
    } finally {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    }
    await assertRolledBack(killed);
  });
}

test("F1 G6 a roll-back that is given up while the server loads the former data is done by the next one", async (t) => {
  const killed = await killReplaced(t);
  const { server, steps } = killed;
  server.call("CONFIG", "SET", "key-load-delay", "5000");
  const limit = new AbortController();
  const first = redisDriver.rollBack(steps, limit.signal, server.options());
  const failing = assert.rejects(first, { code: "cancelled" });
  await waitForRollBack(killed, "loading:1");
  limit.abort();
  await failing;
  await assertRolledBack(killed);
});

test("G6 a server whose counts were reset after the kill is not taken for one that nothing was done to", async (t) => {
  const killed = await killReplaced(t);
  killed.server.call("CONFIG", "RESETSTAT");
  await assertRolledBack(killed);
});

test("G6 a replacement that fails leaves the announced port to the roll-back, while the restore is open still", async (t) => {
  const server = await startRedis(t, { config: ["appendonly yes"] });
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  const spoilt = server.readDigest();
  const options = server.options({ announcePort: await findFreePort() });
  await using datastore = await redisDriver.configure(options).open(makeContext(directory));
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => {
    steps.push(step);
    // It takes over all data, which then proves to be too much for it.
    if (step["op"] === "replace") server.run([], "CONFIG SET maxmemory 1000000\nCONFIG SET maxmemory-policy allkeys-lru\n");
  };
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record }, quiet);
  await session.stage(each(entries), quiet);
  await assert.rejects(session.swap(record, quiet), { code: "restore-failed", message: /would throw keys away/ });
  server.call("CONFIG", "SET", "maxmemory", "0");
  assert.ok(steps.some(({ op }) => op === "replace"));
  await redisDriver.rollBack(steps, quiet, options);
  assert.equal(server.readDigest(), spoilt);
  assertMaster(server);
});

test("F59 G6 a roll-back leaves another server alone that the config means by now, and goes on when it means the former one again", async (t) => {
  const killed = await killReplaced(t);
  const other = await startRedis(t);
  other.call("SET", "who", "the new server");
  const there = other.readDigest();
  await assert.rejects(redisDriver.rollBack(killed.steps, quiet, other.options()), { code: "restore-stuck", message: /is not the server/ });
  assert.equal(other.readDigest(), there);
  await assertRolledBack(killed);
});
