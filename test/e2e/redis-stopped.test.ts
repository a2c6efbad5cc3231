import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Status } from "../../src/operations/read-status.ts";
import { createInstallation } from "../support/daemon.ts";
import { killWorkers } from "../support/daemon-runs.ts";
import { startRedis, type RedisServer } from "../support/redis.ts";
import { waitUntil } from "../support/wait-until.ts";

const createConfig = (dir: string, socket: string, rdb: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, socket: ${socket}, rdbPath: ${rdb}, waitFor: 0s }
jobs:
  nightly:
    datastores: [cache]
    destination: local
    retry: { attempts: 1 }
    restore: { check: { shell: "touch ${dir}/checking; exec sleep 100", timeout: 100s } }
`;

test("F1 F59 G6 power gone in a restore by files, and the server is there before Holdfast: nothing is put back before it is stopped", async (t) => {
  const server = await startRedis(t, { config: ["save 3600 1"] });
  server.call("SET", "backed-up", "1");
  const installation = await createInstallation({ config: (dir) => createConfig(dir, server.socket, server.rdb), init: ["local"] });
  t.after(() => installation[Symbol.asyncDispose]());
  {
    const daemon = await installation.start();
    assert.equal((await installation.holdfast(["backup", "nightly"])).status, 0);
    server.call("SET", "former", "1");
    await server.stop("shutdown");
    const restoring = installation.holdfast(["restore", "latest", "--job", "nightly", "--yes", "--unsavable=raw"]);
    await waitUntil("the check of the restored data", () => existsSync(join(installation.dir, "checking")));
    const { tasks } = JSON.parse((await installation.holdfast(["status", "--json"])).stdout) as Status;
    // A worker that sees its daemon go may begin to roll back before it goes itself.
    assert.equal(killWorkers(tasks[0]?.id ?? "", "SIGSTOP"), 1);
    await daemon.kill();
    await restoring;
  }
  await server.start();
  {
    await using daemon = await installation.start();
    assert.match(daemon.log(), /could not be rolled back: .*was started meanwhile/);
    assert.match(daemon.log(), /Stop the server, restart Holdfast/);
    assert.match((await installation.holdfast(["status"])).stdout, /is not finished: both copies of the data are kept/);
  }
  await server.stop("shutdown");
  await using daemon = await installation.start();
  assert.match(daemon.log(), /rolled back after an interruption/);
  await server.start();
  assert.equal(server.call("GET", "former"), "1");
  assert.deepEqual(
    readdirSync(server.data).filter((name) => name.includes("holdfast")),
    [],
  );
});

const startConfig = (dir: string, server: RedisServer): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, socket: ${server.socket}, rdbPath: ${server.rdb} }
jobs:
  nightly:
    datastores: [cache]
    destination: local
    retry: { attempts: 1 }
    restore:
      stop: { shell: "redis-cli -s ${server.socket} shutdown nosave || true" }
      start: { shell: "cd / && setpriv --reuid redis --regid redis --init-groups -- redis-server ${server.directory}/config" }
`;

test("F47 G6 a server with a new data directory that starts empty beside its restored RDB fails the restore, which says what is missing", async (t) => {
  const server = await startRedis(t, { config: ["appendonly yes"] });
  server.call("SET", "backed-up", "1");
  const installation = await createInstallation({ config: (dir) => startConfig(dir, server), init: ["local"] });
  t.after(() => installation[Symbol.asyncDispose]());
  await using _daemon = await installation.start();
  assert.equal((await installation.holdfast(["backup", "nightly"])).status, 0);
  await server.stop("kill");
  for (const name of readdirSync(server.data)) rmSync(join(server.data, name), { recursive: true });
  const { status, stderr, stdout } = await installation.holdfast(["restore", "latest", "--job", "nightly", "--yes"]);
  assert.equal(status, 1, stdout + stderr);
  assert.match(stdout + stderr, /if the server has `appendonly yes`.*set aofDir/);
  assert.match(stderr, /the data is as it was: .*has not started from the restored data: it has append-only files/);
  assert.match(stderr, /hint: Set aofDir/);
  assert.equal(existsSync(server.rdb), false);
});
