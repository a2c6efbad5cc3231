import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createInstallation, type Installation, type RunningDaemon } from "../support/daemon.ts";
import { startRedis, type RedisServer } from "../support/redis.ts";

const createConfig = (dir: string, { socket, rdb }: RedisServer, extra: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, socket: ${socket}, rdbPath: ${rdb}, waitFor: 0s${extra} }
  notes: { kind: files, root: ${dir}/notes }
jobs:
  nightly: { datastores: [cache, notes], destination: local, retry: { attempts: 1 } }
`;

interface Bed {
  readonly server: RedisServer;
  readonly installation: Installation;
  readonly daemon: RunningDaemon;
  readonly backup: string;
  /** The data of the server, which is stopped, as its file has it. */
  readonly former: Buffer;
}

/** A backup of a server and of files, both of which have changed since; then the server is stopped. */
async function prepare(t: TestContext, extra: string): Promise<Bed> {
  const server = await startRedis(t, { config: ["save 3600 1"] });
  server.call("SET", "old", "1");
  const installation = await createInstallation({
    config(dir) {
      mkdirSync(join(dir, "notes"));
      writeFileSync(join(dir, "notes/a.txt"), "old");
      return createConfig(dir, server, extra);
    },
    init: ["local"],
  });
  t.after(() => installation[Symbol.asyncDispose]());
  const daemon = await installation.start();
  const { status, stderr } = await installation.holdfast(["backup", "nightly"]);
  assert.equal(status, 0, stderr);
  server.call("SET", "new", "precious");
  writeFileSync(join(installation.dir, "notes/a.txt"), "new");
  await server.stop("shutdown");
  const [name = ""] = readdirSync(join(installation.dir, "backups/nightly")).filter((each) => !each.startsWith("."));
  return { server, installation, daemon, backup: join(installation.dir, "backups/nightly", name), former: readFileSync(server.rdb) };
}

const ways = [
  ["offline", ""],
  ["by the daemon, where it is optional", ", optional: true"],
] as const;

for (const [way, extra] of ways) {
  test(`D5 D6 a stopped Redis beside another datastore is not saved as absent: ${way}`, { timeout: 140_000 }, async (t) => {
    const { server, installation, daemon, backup, former } = await prepare(t, extra);
    const isOffline = extra === "";
    if (isOffline) await daemon.stop();
    const args = isOffline ? ["restore", "--offline", backup, "--yes"] : ["restore", "latest", "--job", "nightly", "--yes"];
    const refused = await installation.holdfast(args);
    assert.notEqual(refused.status, 0, refused.stdout);
    assert.match(refused.stderr, /"cache" is there and cannot be read, so nothing has its data/);
    assert.match(refused.stderr, /--unsavable=raw/);
    assert.deepEqual(readFileSync(server.rdb), former);
    assert.equal(readFileSync(join(installation.dir, "notes/a.txt"), "utf8"), "new");

    // After an explicit word it stays aside, whatever else was saved; and an undo does not take it for a server that was not there.
    const raw = await installation.holdfast([...args, "--unsavable=raw"]);
    assert.equal(raw.status, 0, raw.stderr);
    assert.equal(readFileSync(join(installation.dir, "notes/a.txt"), "utf8"), "old");
    const kept = readdirSync(server.directory, { recursive: true, withFileTypes: true })
      .filter((each) => each.isFile() && each.name.endsWith(".rdb"))
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
    assert.ok(kept.some((bytes) => bytes.equals(former)));
    if (isOffline) return;
    const undone = await installation.holdfast(["undo", "--yes"]);
    assert.equal(undone.status, 0, undone.stderr);
    assert.equal(readFileSync(join(installation.dir, "notes/a.txt"), "utf8"), "new");
    await server.start();
    assert.equal(server.call("GET", "old").trim(), "1", undone.stdout + undone.stderr);
  });
}
