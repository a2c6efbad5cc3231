import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { createInstallation, type CallResult, type Installation } from "../support/daemon.ts";
import { fillServer, startRedis, type RedisServer } from "../support/redis.ts";

/** The server is one whose files cannot be seen from here, as one on another machine. */
const createConfig = (dir: string, socket: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, socket: ${socket}, via: { command: [env] }, announce: 127.0.0.1, waitFor: 0s }
jobs:
  nightly: { datastores: [cache], destination: local, retry: { attempts: 1 } }
`;

interface Bed {
  readonly server: RedisServer;
  readonly installation: Installation;
  /** What the server holds when the restore begins. */
  readonly present: string;
}

/** A server with a backup and other data than that, which loads slowly from now on. */
async function prepare(t: TestContext): Promise<Bed> {
  const server = await startRedis(t, { config: ["appendonly yes", "loading-process-events-interval-bytes 1024"] });
  fillServer(server);
  const installation = await createInstallation({ config: (dir) => createConfig(dir, server.socket), init: ["local"] });
  t.after(() => installation[Symbol.asyncDispose]());
  const daemon = await installation.start();
  const { status, stderr } = await installation.holdfast(["backup", "nightly"]);
  assert.equal(status, 0, stderr);
  await daemon.stop();
  server.call("FLUSHALL");
  server.call("FUNCTION", "FLUSH");
  server.run([], "SET other 1\nSET more 2\n");
  const present = server.readDigest();
  server.call("CONFIG", "SET", "key-load-delay", "3000");
  return { server, installation, present };
}

/** Begins a restore and resolves when the server loads what it is sent; fails when it ends before. */
async function beginRestore({ server, installation }: Bed): Promise<{ readonly restoring: Promise<CallResult> }> {
  const restoring = installation.holdfast(["restore", "latest", "--job", "nightly", "--yes"]);
  let ended: CallResult | undefined;
  restoring.then(
    (result) => (ended = result),
    () => undefined,
  );
  while (!server.call("INFO", "persistence").includes("loading:1")) {
    if (ended !== undefined) assert.fail(ended.stdout + ended.stderr);
    await pause(5);
  }
  return { restoring };
}

function listRestores({ dir }: Installation): readonly string[] {
  return readdirSync(join(dir, "state/restores"));
}

/** Starts the server as it is after its crash: what it had been sent is gone or there, but it is not the former data. */
async function startAfresh(server: RedisServer): Promise<void> {
  await server.start();
  server.call("FLUSHALL");
}

async function assertRolledBack({ server, installation, present }: Bed): Promise<void> {
  await using daemon = await installation.start();
  assert.equal(server.readDigest(), present, daemon.log());
  assert.match(server.call("INFO", "replication"), /role:master/);
  assert.ok(
    listRestores(installation).every((name) => name.endsWith(".restore.jsonl")),
    String(listRestores(installation)),
  );
  const { unfinishedRestores } = await installation.json<{ unfinishedRestores: readonly string[] }>(["status"]);
  assert.deepEqual(unfinishedRestores, []);
}

test("F59 G6 kill -9 of the daemon in mid-swap, and the server away at the next start: the former data comes back at the one after", async (t) => {
  const bed = await prepare(t);
  const { server, installation } = bed;
  const daemon = await installation.start();
  const { restoring } = await beginRestore(bed);
  await daemon.kill();
  await restoring;
  const aside = listRestores(installation).find((name) => name.endsWith(".aside")) ?? assert.fail("nothing is put aside");
  assert.equal(statSync(join(installation.dir, "state/restores", aside)).mode & 0o777, 0o700);
  await server.stop();
  for (let time = 0; time < 2; time += 1) {
    await using next = await installation.start();
    assert.equal(next.log().match(/could not be rolled back: .*does not answer/g)?.length, 1, next.log());
    const { status, stdout } = await installation.holdfast(["status", "--check"]);
    assert.equal(status, 2, stdout);
    assert.match(stdout, /is not finished: both copies of the data are kept/);
    assert.match((await installation.holdfast(["doctor"])).stdout, /has not ended/);
    const refused = await installation.holdfast(["restore", "latest", "--job", "nightly", "--yes"]);
    assert.equal(refused.status, 1);
    assert.ok(existsSync(join(installation.dir, "state/restores", aside)));
  }
  await startAfresh(server);
  await assertRolledBack(bed);
});

test("F59 G6 a roll-back that fails because the server has died keeps the former data, and the next start puts it back", async (t) => {
  const bed = await prepare(t);
  const { server, installation } = bed;
  {
    await using daemon = await installation.start();
    const { restoring } = await beginRestore(bed);
    await server.stop();
    const { status, stderr } = await restoring;
    assert.equal(status, 1);
    assert.match(stderr, /was interrupted and could not be rolled back: .*does not answer/, daemon.log());
  }
  await startAfresh(server);
  await assertRolledBack(bed);
});
