import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { backdateBackup } from "../support/clone-backup.ts";
import type { Installation, RunningDaemon } from "../support/daemon.ts";
import { substitute } from "../support/example-config.ts";
import type { LiveApplication } from "../support/live-application.ts";
import type { PostgresServer } from "../support/postgres.ts";
import type { RedisServer } from "../support/redis.ts";
import { runOnTerminal } from "../support/run-on-terminal.ts";
import { openWhisperEngine, type WhisperEngine } from "../support/whisperengine-site.ts";

const namePattern = /^whisperengine_backup_\d{8}_\d{6}(-\d+)?$/;

interface Listed {
  readonly name: string;
  readonly status: string;
  readonly createdAtMs: number;
  readonly storedBytes: number;
  readonly suspect: readonly string[];
  readonly members: readonly { readonly datastore: string; readonly status: string }[];
}

/** The shipped config on private servers: a stand-in for the Docker client runs the tools in front of them. The steps follow one another. */
describe("WhisperEngine: PostgreSQL and Redis in containers", { timeout: 900_000 }, () => {
  const resources = new AsyncDisposableStack();
  let site: WhisperEngine;
  let home: string;
  let backups: string;
  let config: string;
  let postgres: PostgresServer;
  let redis: RedisServer;
  /** Another container, which the restore stops and starts. */
  let bot: LiveApplication;
  let server: Installation;
  let daemon: RunningDaemon;
  /** Of what Redis holds at first. */
  let digest: string;

  const list = (): Promise<readonly Listed[]> => server.json<readonly Listed[]>(["list", "whisperengine"]);
  const listDirectories = (): readonly string[] =>
    readdirSync(backups)
      .filter((name) => namePattern.test(name))
      .toSorted();
  const countMemories = (): string => postgres.execute("select count(*) from memories", "whisper").trim();
  const countTables = (): string =>
    postgres.execute("select string_agg(tablename, ' ') from pg_tables where schemaname = 'public'", "whisper").trim();
  const readCalls = (): readonly (readonly string[])[] => site.docker.readCalls();

  async function backUp(): Promise<string> {
    return (await server.json<{ details: { name: string } }>(["backup", "whisperengine"])).details.name;
  }

  function spoil(): void {
    postgres.execute("drop table memories; create table later (x int)", "whisper");
    redis.call("FLUSHALL");
    redis.call("SET", "later", "1");
  }

  function assertRestored(): void {
    assert.deepEqual([countTables(), countMemories()], ["memories", "2000"]);
    assert.equal(postgres.execute("select tableowner from pg_tables where tablename = 'memories'", "whisper").trim(), "bot");
    assert.equal(redis.readDigest(), digest);
  }

  function assertSpoilt(): void {
    assert.equal(countTables(), "later");
    assert.deepEqual([redis.call("DBSIZE"), redis.call("GET", "later")], ["1", "1"]);
  }

  before(async () => {
    site = resources.use(await openWhisperEngine("dumped"));
    ({ home, backups, config, postgres, redis, bot, server, digest } = site);
    daemon = await server.start();
  });

  after(() => resources.disposeAsync());

  test("W7 the shipped config is checked: both servers are found through docker compose", async () => {
    const { status, stdout, stderr } = await server.holdfast(["check"]);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /postgres.* in compose service postgres/);
    assert.match(stdout, /redis.* in compose service redis/);
  });

  test("W1 W2 a directory with both dumps, as their own tools read them, and backup_info.txt", async () => {
    const name = await backUp();
    assert.match(name, namePattern);
    const made = join(backups, name);
    const sql = readFileSync(join(made, "postgresql_backup.sql"), "utf8");
    assert.match(sql, /^CREATE ROLE bot;/m);
    assert.match(sql, /^COPY public\.memories /m);
    assert.match(sql, /PostgreSQL database cluster dump complete/);
    const rdb = readFileSync(join(made, "redis_backup.rdb"));
    assert.match(rdb.toString("latin1", 0, 9), /^REDIS\d{4}$/);
    const info = readFileSync(join(made, "backup_info.txt"), "utf8");
    assert.match(info, /^Date: +\d{4}-\d\d-\d\dT/m);
    assert.match(info, new RegExp(`^(Directory|Backup): +.*${name}`, "m"));
    assert.match(info, /^postgres \(postgresql\): ok, 1 file, /m);
    assert.match(info, /^redis \(redis\): ok, 1 file, /m);
    for (const file of ["postgresql_backup.sql", "redis_backup.rdb"]) assert.match(info, new RegExp(`^ +${file} +[\\d.]+ [KM]?i?B`, "m"));
    assert.match(info, /whisper\.public\.memories: 2000 rows/);
    assert.match(info, /keys\.db0: 500$/m);
    assert.match(info, /keys\.db2: 2$/m);
  });

  test("W3 the list has size, date and services, and says how one of them is restored", async () => {
    const [newest] = await list();
    const { name = "", storedBytes = 0, createdAtMs = 0 } = newest ?? {};
    const files = ["postgresql_backup.sql", "redis_backup.rdb"].map((file) => statSync(join(backups, name, file)).size);
    assert.ok(storedBytes >= files.reduce((sum, bytes) => sum + bytes));
    assert.ok(Math.abs(Date.now() - createdAtMs) < 600_000);
    const { stdout } = await server.holdfast(["list", "whisperengine"]);
    assert.match(stdout, new RegExp(`^${name}\t.*\tpostgres, redis\t`, "m"));
    const { status, shown } = await runOnTerminal(["--config", server.configPath, "list"], [], server.env);
    assert.equal(status, 0, shown);
    assert.match(shown, new RegExp(`${name}.*\\d [KM]iB`));
    assert.match(shown, new RegExp(`To restore one: holdfast restore ${name}`));
    assert.match((await server.holdfast(["show", name])).stdout, new RegExp(`restore +holdfast restore ${name}$`, "m"));
  });

  test("W6 W9 a restore asks, tells each datastore's progress, restarts the services itself and runs the health script", async () => {
    const [newest] = await list();
    const { name = "" } = newest ?? {};
    spoil();
    const before = { pid: await bot.pid(), calls: readCalls().length };
    const arguments_ = ["--config", server.configPath, "restore", name.replace("whisperengine_backup_", "")];
    const no = await runOnTerminal(arguments_, [{ at: /Type whisperengine to confirm/, keys: "\r" }], server.env);
    assert.notEqual(no.status, 0);
    assert.equal(countTables(), "later", "nothing is touched without a yes");
    assert.equal(await bot.pid(), before.pid);

    const yes = await runOnTerminal(arguments_, [{ at: /Type whisperengine to confirm/, keys: "whisperengine\r" }], server.env);
    assert.equal(yes.status, 0, yes.shown);
    for (const datastore of ["postgres", "redis"])
      assert.match(yes.shown, new RegExp(`(staging|swapping|replacing|loading).*${datastore}`), yes.shown);
    assert.match(yes.shown, /READONLY/);
    assertRestored();
    assert.notEqual(await bot.pid(), undefined, "it runs");
    assert.notEqual(await bot.pid(), before.pid, "it was stopped and started");
    const control = readCalls()
      .slice(before.calls)
      .filter((call) => call.includes("bot"))
      .map((call) => call.slice(call.indexOf(home) + 1).join(" "));
    assert.deepEqual(control, ["stop bot", "up -d bot"]);
    assert.ok(existsSync(join(home, "healthy")), "the health script has run");
  });

  test("W7 no password stands in any argument list or in any file of ours, and everything ran by exec -T", () => {
    for (const call of readCalls()) {
      assert.doesNotMatch(call.join(" "), /canary|geheim/);
      if (call.includes("exec")) assert.deepEqual(call.slice(0, 3), ["compose", "exec", "-T"]);
    }
    assert.doesNotMatch(daemon.log(), /canary|geheim/);
    const leaks = spawnSync("grep", ["-rlE", "canary-r3dis|sup3r geheim", "state", "run", "srv/whisperengine/backups"], {
      cwd: server.dir,
      encoding: "utf8",
    });
    assert.equal(leaks.stdout, "");
  });

  test("W9 G6 a health script that fails rolls both servers back, and the services run again", async () => {
    const [newest] = await list();
    spoil();
    const pid = await bot.pid();
    writeFileSync(join(home, "unhealthy"), "");
    const { status, stderr } = await server.holdfast(["restore", newest?.name ?? "", "--yes"]);
    rmSync(join(home, "unhealthy"));
    assert.notEqual(status, 0);
    assert.match(stderr, /health_check\.sh/);
    assert.match(stderr, /the data is as it was/);
    assertSpoilt();
    assert.notEqual(await bot.pid(), pid);
    assert.notEqual(await bot.pid(), undefined);
    assert.equal(redis.call("SET", "writable", "1"), "OK");
    assert.match(redis.call("INFO", "replication"), /role:master/);
    assert.equal(redis.call("CONFIG", "GET", "masterauth"), "masterauth");
  });

  test("W8 a server that lost most of its data makes the backup suspect, and it is told", async () => {
    const { status, stdout } = await server.holdfast(["backup", "whisperengine"]);
    assert.equal(status, 3, stdout);
    assert.match(stdout, /suspect: .*(redis|postgres) has /);
    const [suspect, whole] = await list();
    assert.ok((suspect?.suspect.length ?? 0) > 0);
    const restored = await server.holdfast(["restore", whole?.name ?? "", "--yes"]);
    assert.equal(restored.status, 0, restored.stderr);
    assertRestored();
    assert.equal((await server.holdfast(["accept", suspect?.name ?? ""])).status, 0);
  });

  test("W6 W7 a Redis that cannot reach this machine is stopped, given its files, and started", async () => {
    const stopRedis = `      stop:\n        - command: [docker, compose, --project-directory, ${home}, stop, redis]`;
    const startRedis = `      start:\n        - command: [docker, compose, --project-directory, ${home}, up, -d, redis]`;
    let text = substitute(config, "announce: 127.0.0.1", `rdbPath: ${redis.rdb}`);
    text = substitute(substitute(text, "      stop:", stopRedis), "      start:", startRedis);
    await server.writeConfig(text);
    await server.json(["reload"]);
    const whole = (await list()).find(({ suspect }) => suspect.length === 0);
    redis.call("FLUSHALL");
    redis.call("SET", "later", "1");
    const restore = ["restore", whole?.name ?? "", "--only", "redis"];
    const plan = await server.holdfast([...restore, "--plan"]);
    assert.match(plan.stdout, /replaces .*dump\.rdb and .*appendonlydir, once the stop commands have stopped the server/);
    const refused = await server.holdfast([...restore, "--yes"]);
    assert.notEqual(refused.status, 0, "a stopped server cannot be backed up");
    assert.match(refused.stderr, /--unsavable=raw/);
    assert.equal(redis.call("GET", "later"), "1");
    const { status, stderr } = await server.holdfast([...restore, "--yes", "--unsavable=raw"]);
    assert.equal(status, 0, stderr);
    assertRestored();
    const [left = ""] = readdirSync(redis.data).filter((name) => name.startsWith(".holdfast-redis-"));
    assert.ok(readdirSync(join(redis.data, left, "former")).includes("appendonlydir"), "what was there before is left aside");
    await server.writeConfig(config);
    await server.json(["reload"]);
  });

  test("W5 Redis does not run: a warning, a partial backup with PostgreSQL, which is restored alone", async () => {
    await redis.stop("shutdown");
    const { status, stdout } = await server.holdfast(["backup", "whisperengine"]);
    assert.equal(status, 3, stdout);
    assert.match(stdout, /partial: redis: it is not there and was left out/);
    const [partial] = await list();
    assert.deepEqual(
      partial?.members.map(({ datastore, status: state }) => `${datastore} ${state}`),
      ["postgres ok", "redis failed"],
    );
    const made = join(backups, partial?.name ?? "");
    assert.ok(!existsSync(join(made, "redis_backup.rdb")));
    const info = readFileSync(join(made, "backup_info.txt"), "utf8");
    assert.match(info, /^Status: +partial$/m);
    assert.match(info, /^redis \(redis\): failed/m);
    await redis.start();
    redis.call("SET", "newer", "1");
    const digest = redis.readDigest();
    postgres.execute("delete from memories where id > 1", "whisper");
    const restored = await server.holdfast(["restore", partial?.name ?? "", "--yes", "--accept-doubtful"]);
    assert.equal(restored.status, 0, restored.stderr);
    assert.match(restored.stderr, /redis is not in this backup and stays as it is now/);
    assert.equal(countMemories(), "2000");
    assert.equal(redis.readDigest(), digest);
    redis.call("DEL", "newer");
  });

  test("W5 nothing runs at all: failed, nothing is published, and the reason names both services", async () => {
    const before = readdirSync(backups).toSorted();
    await redis.stop("shutdown");
    await postgres.stop();
    const { status, stderr } = await server.holdfast(["backup", "whisperengine"]);
    assert.equal(status, 1);
    assert.match(stderr, /none of its datastores is there: "postgres": [^]*"redis": /);
    assert.match(stderr, /not running/);
    assert.deepEqual(readdirSync(backups).toSorted(), before);
    await Promise.all([redis.start(), postgres.start()]);
  });

  test("W11 another directory for one call", async () => {
    const other = join(server.dir, "usb");
    mkdirSync(other);
    const before = readdirSync(backups).toSorted();
    assert.equal((await server.holdfast(["destination", "init", other])).status, 0);
    const { status, stdout, stderr } = await server.holdfast(["backup", "whisperengine", "--destination", other]);
    assert.equal(status, 0, stderr);
    const name = /^ok: (\S+), /.exec(stdout)?.[1] ?? assert.fail(stdout);
    const made = readdirSync(other, { recursive: true, encoding: "utf8" });
    for (const file of ["postgresql_backup.sql", "redis_backup.rdb"])
      assert.ok(
        made.some((path) => path.endsWith(`${name}/${file}`)),
        made.join("\n"),
      );
    assert.deepEqual(readdirSync(backups).toSorted(), before);
  });

  test("W3 the cleanup shows what is freed, takes what is older than 30 days, and never the recent ones", async () => {
    const last = await backUp();
    const [oldest = "", ...others] = listDirectories();
    await daemon.stop();
    await backdateBackup(join(backups, oldest), { createdAtMs: Date.now() - 31 * 86_400_000, sequence: 1 });
    daemon = await server.start();
    const plan = await runOnTerminal(["--config", server.configPath, "prune", "whisperengine", "--plan"], [], server.env);
    assert.equal(plan.status, 0, plan.shown);
    assert.match(plan.shown, new RegExp(`remove +${oldest} .* [KM]iB`));
    assert.match(plan.shown, /1 of 4 backups would be removed, [\d.]+ [KM]iB freed/);
    assert.ok(listDirectories().includes(oldest));
    const pruned = await server.holdfast(["prune", "whisperengine", "--yes"]);
    assert.equal(pruned.status, 0, pruned.stderr);
    assert.deepEqual(listDirectories(), others);
    assert.ok(others.includes(last));
  });
});
