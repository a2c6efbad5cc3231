import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { fillServer, openRedis, type RedisServer } from "../support/redis.ts";
import { runShell } from "../support/trees.ts";

const password = "canary-p4ssword";

const createConfig = (dir: string, socket: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, socket: ${socket}, password: { file: ${dir}/password }, waitFor: 1s }
jobs:
  nightly:
    datastores: [cache]
    destination: local
    compression: zstd
    drill: monthly
    retry: { attempts: 1 }
`;

/** The steps follow one another on one installation. */
describe("a Redis server", { timeout: 600_000 }, () => {
  let server: RedisServer;
  let daemon: StartedDaemon;
  let digest = "";

  before(async () => {
    server = await openRedis({ password, config: ["appendonly yes"] });
    fillServer(server, 4);
    digest = server.readDigest();
    daemon = await startDaemon({
      config(dir) {
        writeFileSync(join(dir, "password"), password, { mode: 0o600 });
        return createConfig(dir, server.socket);
      },
      init: ["local"],
    });
  });

  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it("W1 W8 is checked, backed up, verified and proven restorable", async () => {
    const check = await daemon.holdfast(["check"]);
    assert.equal(check.status, 0, check.stdout + check.stderr);
    for (const verb of [
      ["backup", "nightly"],
      ["verify", "latest", "--job", "nightly"],
      ["drill", "latest", "--job", "nightly"],
    ]) {
      const { status, stdout, stderr } = await daemon.holdfast(verb);
      assert.equal(status, 0, `${verb.join(" ")}\n${stdout}${stderr}`);
    }
    assert.ok(
      readdirSync(join(daemon.dir, "backups"), { recursive: true, encoding: "utf8" }).some((path) => path.endsWith("redis_backup.rdb.zst")),
    );
    assert.equal(server.readDigest(), digest);
  });

  it("G6 is restored while it runs, and the restore is undone", async () => {
    server.call("FLUSHALL");
    server.call("SET", "after", "1");
    const spoilt = server.readDigest();
    const { status, stderr } = await daemon.holdfast(["restore", "latest", "--job", "nightly", "--yes"]);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /replaces everything in the server .* by replication from a private server/);
    assert.match(stderr, /READONLY/);
    assert.equal(server.readDigest(), digest);
    assert.deepEqual(
      readdirSync(server.data, "utf8").filter((name) => name.includes("holdfast")),
      [],
    );
    const undone = await daemon.holdfast(["undo", "--yes"]);
    assert.equal(undone.status, 0, undone.stderr);
    assert.equal(server.readDigest(), spoilt);
    assert.match(server.call("INFO", "replication"), /role:master/);
  });

  it("F45 G7 a server that is gone fails the run, is told with its remedy, and leaves nothing behind", async () => {
    const before = readdirSync(join(daemon.dir, "backups"), { recursive: true, encoding: "utf8" }).sort();
    await server.stop();
    const { status, stdout, stderr } = await daemon.holdfast(["backup", "nightly"]);
    assert.equal(status, 1);
    assert.match(stdout + stderr, /the server at .* does not answer/);
    assert.match(stdout + stderr, /Start the server/);
    const published = (paths: readonly string[]): readonly string[] => paths.filter((path) => /\.rdb/.test(path));
    assert.deepEqual(published(readdirSync(join(daemon.dir, "backups"), { recursive: true, encoding: "utf8" }).sort()), published(before));
  });

  it("F71 its password is in no file of ours, and in no message", () => {
    assert.doesNotMatch(daemon.log(), new RegExp(password));
    assert.equal(runShell(`grep -rl ${password} state backups run || true`, daemon.dir), "");
  });
});
