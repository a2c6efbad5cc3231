import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { TestContext } from "node:test";
import type { SwapStep } from "../../src/datastores/contract.ts";
import { redisDriver } from "../../src/datastores/redis/redis.ts";
import { dumpAll, makeContext, makeTestDirectory, quiet, type Dumped } from "./datastore.ts";
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

/** For a restore to come to the moment at which it is to be killed. */
const momentMs = 60_000;

const swapper = new URL("../fixtures/programs/swap-redis.ts", import.meta.url).pathname;

/** Restores in a process that is killed as soon as what the server says of itself matches; gives the steps that it had recorded. */
export async function killInSwap(
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
  try {
    for (const endAt = performance.now() + momentMs; !pattern.test(server.call("INFO")); await pause(1)) {
      assert.equal(child.exitCode, null);
      if (performance.now() > endAt) assert.fail(`the restore never came so far: ${pattern.source}\n${server.call("INFO", "replication")}`);
    }
  } finally {
    if (child.exitCode === null) process.kill(-(child.pid ?? 0), "SIGKILL");
  }
  assert.ok(existsSync(stepsPath));
  return readFileSync(stepsPath, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as SwapStep);
}
