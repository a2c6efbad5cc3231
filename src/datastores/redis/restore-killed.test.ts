import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "node:test";
import { listLeftovers, makeContext, quiet, type Dumped } from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, spoil } from "../../../test/support/redis-restore.ts";
import { findFreePort, startRedis, type RedisServer } from "../../../test/support/redis.ts";
import type { SwapStep } from "../contract.ts";
import { redisDriver } from "./redis.ts";

const moments = {
  "it follows the private server": /role:slave/,
  "it loads what it was sent": /loading:1/,
  "its data is replaced": /master_link_status:up|master_replid2:(?!0{40})/,
} as const;

for (const [until, pattern] of Object.entries(moments)) {
  test(`F1 G6 a restore that is killed when ${until} is rolled back, and the server takes writes again`, async (t) => {
    const server = await startRedis(t, { config: ["appendonly yes", "loading-process-events-interval-bytes 1024"] });
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
    }
    assert.deepEqual(listLeftovers(server.directory), []);
    await server.stop("kill");
    await server.start();
    assert.equal(server.readDigest(), spoilt);
  });
}

const swapper = new URL("../../../test/fixtures/programs/swap-redis.ts", import.meta.url).pathname;

async function killInSwap(
  server: RedisServer,
  directory: string,
  options: unknown,
  entries: Dumped["entries"],
  pattern: RegExp,
): Promise<readonly SwapStep[]> {
  const body = join(directory, "body");
  for (const entry of entries) for await (const chunk of entry.open(quiet)) writeFileSync(body, chunk, { flag: "a" });
  const { stagingDir } = makeContext(directory);
  const request = join(directory, "request");
  const stepsPath = join(directory, "steps");
  writeFileSync(request, JSON.stringify({ options, stagingDir, body, stepsPath }));
  const child = spawn(process.execPath, [swapper, request], { stdio: ["ignore", "ignore", "inherit"], detached: true });
  while (!pattern.test(server.call("INFO"))) {
    assert.equal(child.exitCode, null);
    await pause(1);
  }
  process.kill(-(child.pid ?? 0), "SIGKILL");
  assert.ok(existsSync(stepsPath));
  return readFileSync(stepsPath, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as SwapStep);
}
