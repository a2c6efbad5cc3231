import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { startRedis } from "../support/redis.ts";
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
