import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import type { RestoreSession, SwapStep } from "../contract.ts";
import { each, makeContext, quiet } from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, spoil } from "../../../test/support/redis-restore.ts";
import { startRedis, type RedisServer } from "../../../test/support/redis.ts";
import { redisDriver } from "./redis.ts";

/** As a server on another machine: its files are not seen from here. */
const elsewhere = (server: RedisServer) => ({ socket: server.socket, via: { command: ["env"] }, announce: "127.0.0.1", waitFor: "0s" });

interface Attempt {
  readonly steps: SwapStep[];
  readonly stage: () => Promise<unknown>;
  readonly session: RestoreSession;
}

async function openAttempt(t: TestContext, server: RedisServer, asideDir: string, options: object = elsewhere(server)): Promise<Attempt> {
  const { directory, entries } = await dumpFilled(t, server);
  spoil(server);
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => void steps.push(step);
  const datastore = await redisDriver.configure(options).open(makeContext(directory));
  const session = await datastore.openRestore({ kind: "original" }, { absent: false, record, asideDir }, quiet);
  t.after(() => session[Symbol.asyncDispose]());
  return { steps, session, stage: () => session.stage(each(entries), quiet) };
}

for (const ending of ["settle", "rollBack"] as const) {
  test(`F59 what is put aside of a server elsewhere lies in the place for it, and is gone after ${ending}`, async (t) => {
    const server = await startRedis(t);
    const asideDir = join(server.directory, "restores/r.aside");
    const { steps, session, stage } = await openAttempt(t, server, asideDir);
    const spoilt = server.readDigest();
    await stage();
    assert.equal(statSync(asideDir).mode & 0o777, 0o700);
    await session.swap(async (step) => void steps.push(step), quiet);
    const [work = ""] = readdirSync(asideDir);
    // And nothing of the private server any more.
    assert.deepEqual(readdirSync(join(asideDir, work)).toSorted(), ["former.rdb", "restored.rdb"]);
    await redisDriver[ending](steps, quiet, elsewhere(server));
    assert.deepEqual(readdirSync(asideDir), []);
    if (ending === "rollBack") assert.equal(server.readDigest(), spoilt);
    else assert.equal(server.call("EXISTS", "key:1"), "1");
    assertMaster(server);
  });
}

test("F14 a disk that has no room for what is put aside is told before anything is written there", async (t) => {
  const server = await startRedis(t);
  const asideDir = join(server.directory, "small");
  mkdirSync(asideDir);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=17m,mode=0700", "none", asideDir]);
  try {
    const { session, stage } = await openAttempt(t, server, asideDir);
    const spoilt = server.readDigest();
    await assert.rejects(stage(), { code: "no-space", message: /may need .* in .*small, where/, hint: /asideDir/ });
    await session[Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(asideDir), []);
    assert.equal(server.readDigest(), spoilt);
    assertMaster(server);
  } finally {
    execFileSync("umount", [asideDir]);
  }
});

test("what is put aside lies in the place for it when a sandbox leaves the server's own directory read-only", async (t) => {
  const server = await startRedis(t);
  const asideDir = mkdtempSync(join(tmpdir(), "aside-"));
  t.after(() => rmSync(asideDir, { recursive: true }));
  const options = { socket: server.socket, waitFor: "0s" };
  const { steps, session, stage } = await openAttempt(t, server, asideDir, options);
  execFileSync("mount", ["--bind", server.directory, server.directory]);
  try {
    execFileSync("mount", ["-o", "remount,bind,ro", server.directory]);
    await stage();
    await session.swap(async (step) => void steps.push(step), quiet);
    assert.deepEqual(
      steps.filter(({ op }) => op === "stage").map(({ path }) => dirname(String(path))),
      [asideDir],
    );
    await redisDriver.settle(steps, quiet, options);
    assert.equal(server.call("EXISTS", "key:1"), "1");
  } finally {
    execFileSync("umount", [server.directory]);
  }
});
