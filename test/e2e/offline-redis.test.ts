import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { startRedis } from "../support/redis.ts";

test("D10 W13 F71 no config is left: a Redis whose url was a secret is found again by the address that the backup tells", async (t) => {
  const server = await startRedis(t);
  server.call("SET", "old", "1");
  await using bed = await createInstallation({
    config: (dir) => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, url: "unix://${server.socket}", waitFor: 0s }
jobs:
  nightly: { datastores: [cache], destination: local, retry: { attempts: 1 } }
`,
    init: ["local"],
  });
  const daemon = await bed.start();
  const made = await bed.holdfast(["backup", "nightly"]);
  assert.equal(made.status, 0, made.stderr);
  await daemon.stop();
  server.call("SET", "old", "2");
  writeFileSync(join(bed.dir, "holdfast.yaml"), "destinations: {}\n");
  const folder = join(bed.dir, "backups/nightly");
  const [name = ""] = readdirSync(folder).filter((each) => !each.startsWith("."));
  const restored = await bed.holdfast(["restore", "--offline", join(folder, name), "--yes"]);
  assert.equal(restored.status, 0, restored.stderr);
  assert.equal(server.call("GET", "old"), "1");
});
