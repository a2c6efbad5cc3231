import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { after, before, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readErrno } from "../../src/base/errors.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { openPostgres, superuserPassword, type PostgresServer } from "../support/postgres.ts";
import { fillServer, openRedis, type RedisServer } from "../support/redis.ts";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));

/** The stop command works once; the start command of the first restore does not come back. */
const createConfig = (dir: string, postgres: PostgresServer, redis: RedisServer): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  shop: { kind: postgresql, host: 127.0.0.1, port: ${postgres.port}, user: postgres, password: { file: ${dir}/postgres }, database: shop, waitFor: 0s }
  cache: { kind: redis, socket: ${redis.socket}, password: { file: ${dir}/redis }, waitFor: 0s }
jobs:
  nightly:
    datastores: [shop, cache]
    destination: local
    restore:
      stop: [{ command: [sh, -c, "! [ -e ${dir}/begun ]"] }]
      start: [{ command: [sh, -c, "[ -e ${dir}/begun ] || { echo $$ > ${dir}/hook; mv ${dir}/hook ${dir}/begun; exec sleep 600; }"] }]
`;

/** What a start command has started goes on without us. */
function killHook(pidFile: string): void {
  const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) : 0;
  if (pid === 0) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (readErrno(error) !== "ESRCH") throw error;
  }
}

describe("an offline restore of servers that is killed", { timeout: 600_000 }, () => {
  const resources = new AsyncDisposableStack();
  let postgres: PostgresServer;
  let redis: RedisServer;
  let installation: Installation;
  let present: string;

  const readData = (): string =>
    [
      redis.readDigest(),
      postgres.execute("select count(*), max(name) from items", "shop"),
      postgres.execute("select datname from pg_database order by 1"),
      redis.call("INFO", "replication").match(/role:\w+/)?.[0],
    ].join("\n");

  before(async () => {
    postgres = resources.use(await openPostgres(15));
    redis = resources.use(await openRedis({ password: "first", config: ["loading-process-events-interval-bytes 1024"] }));
    fillServer(redis);
    postgres.execute("create database shop");
    postgres.execute("create table items (name text); insert into items select 'item ' || n from generate_series(1, 500) n", "shop");
    installation = resources.use(
      await createInstallation({
        config(dir) {
          writeFileSync(join(dir, "postgres"), superuserPassword, { mode: 0o600 });
          writeFileSync(join(dir, "redis"), "first", { mode: 0o600 });
          return createConfig(dir, postgres, redis);
        },
        init: ["local"],
      }),
    );
    const daemon = await installation.start();
    const { status, stderr } = await installation.holdfast(["backup", "nightly"]);
    assert.equal(status, 0, stderr);
    await daemon.stop();
    redis.call("FLUSHALL");
    redis.call("FUNCTION", "FLUSH");
    redis.call("SET", "other", "1");
    postgres.execute("delete from items; insert into items values ('other')", "shop");
  });

  after(() => resources.disposeAsync());

  beforeEach(() => {
    present = readData();
  });

  const args = (): readonly string[] => [
    "--config",
    installation.configPath,
    "restore",
    "latest",
    "--offline",
    join(installation.dir, "backups"),
    "--yes",
  ];

  /** Kills the restore, with all that it has started, as soon as something is seen. */
  async function killWhen(isSeen: () => boolean): Promise<void> {
    const child = spawn(program, args(), { env: installation.env, stdio: ["ignore", "ignore", "pipe"], detached: true });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = once(child, "close");
    while (!isSeen()) {
      assert.equal(child.exitCode, null, said);
      await pause(5);
    }
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await ended;
    killHook(join(installation.dir, "begun"));
  }

  /** By another password than the killed one had. The next restore ends the killed one, then goes no further than to its stop command. */
  async function endIt(): Promise<void> {
    writeFileSync(join(installation.dir, "begun"), "");
    redis.call("ACL", "SETUSER", "default", "resetpass", ">second");
    writeFileSync(join(installation.dir, "redis"), "second");
    const { status, stderr } = await installation.holdfast(args().slice(2));
    redis.run(["--no-auth-warning", "-a", "second", "ACL", "SETUSER", "default", "resetpass", ">first"]);
    writeFileSync(join(installation.dir, "redis"), "first");
    assert.equal(status, 1, stderr);
    assert.match(stderr, /rolled back after an interruption/);
    assert.match(stderr, /stop command/);
    assert.equal(readData(), present);
    const left = readdirSync(join(installation.dir, "state/restores"));
    assert.ok(
      left.every((name) => name.endsWith(".restore.jsonl")),
      String(left),
    );
  }

  test("F59 G6 while Redis loads: the next one puts both servers back, with the options that the config has by now", async () => {
    redis.call("CONFIG", "SET", "key-load-delay", "2000");
    await killWhen(() => redis.call("INFO", "persistence").includes("loading:1"));
    redis.call("CONFIG", "SET", "key-load-delay", "0");
    await endIt();
  });

  test("F59 G6 after both are swapped, too", async () => {
    const begun = join(installation.dir, "begun");
    rmSync(begun);
    await killWhen(() => existsSync(begun));
    assert.notEqual(readData(), present);
    await endIt();
  });
});
