import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { makeSite } from "../support/example-config.ts";
import { assertNoFalseSuccess, listBackups, type Breakage, type FailureBed, type RunningBackup } from "../support/false-success.ts";
import { runOrThrow } from "../support/local-place.ts";
import { findBinDir, openPostgres, type PostgresServer } from "../support/postgres.ts";
import { openReceiver } from "../support/receiver.ts";
import { openRedis, type RedisServer } from "../support/redis.ts";
import { querySqlite, runCommand } from "../support/run-command.ts";
import { waitUntil } from "../support/wait-until.ts";

const nobody = 65534;
const jobs = ["db", "tight", "cache", "saved", "file", "tree"] as const;

/** Real servers, the whole program; each breakage is one that really happens. One good backup of each job is there before. */
describe("no false success", { timeout: 900_000 }, () => {
  const resources = new AsyncDisposableStack();
  let dir: string;
  let postgres: PostgresServer;
  let redis: RedisServer;
  let bed: FailureBed;
  let locker: ChildProcess | undefined;

  const createConfig = (url: string): string => `
settings: { concurrency: 1 }
destinations:
  disk: { kind: local, path: ${dir}/disk }
  small: { kind: local, path: ${dir}/small/backups }
datastores:
  db: &db
    { kind: postgresql, host: 127.0.0.1, port: ${postgres.port}, user: backup, password: { file: ${dir}/password }, database: app, waitFor: 0s,
      lockTimeout: 200ms, binDir: ${dir}/tools }
  cache: { kind: redis, socket: ${redis.socket}, method: replication, waitFor: 0s }
  saved: { kind: redis, socket: ${redis.socket}, method: bgsave, rdbPath: ${redis.rdb}, waitFor: 0s }
  file: { kind: sqlite, path: ${dir}/data/file.db, runAs: nobody }
  tree: { kind: files, root: ${dir}/tree }
notify:
  hook: { kind: webhook, url: "${url}", on: [failure] }
jobs:
${jobs
  .filter((name) => name !== "tight")
  .map((name) => `  ${name}: { datastores: [${name}], destination: disk, ${job} }\n`)
  .join("")}  tight: { datastores: [db], destination: small, ${job} }
`;
  // From level 4 on the zstd program does it, which can be killed.
  const job = "compression: zstd:4, retention: { keepLast: 1 }, retry: { attempts: 1 }, notify: [hook]";

  function fillRedis(): void {
    redis.call("EVAL", "for i = 1, 300 do redis.call('SET', 'key:' .. i, 'value ' .. i) end", "0");
  }

  before(async () => {
    dir = resources.use(await makeSite()).dir;
    for (const name of ["disk", "small", "data", "tree"]) mkdirSync(join(dir, name));
    writeFileSync(join(dir, "password"), "geheim", { mode: 0o600 });
    symlinkSync(findBinDir(18), join(dir, "tools"));
    writeFileSync(join(dir, "tree/file"), "text");
    await querySqlite(join(dir, "data/file.db"), "create table t (x); insert into t values (1)");
    for (const path of ["data", "data/file.db"]) chownSync(join(dir, path), nobody, nobody);
    runOrThrow("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", join(dir, "small")]);
    resources.defer(() => runOrThrow("umount", ["-l", join(dir, "small")]));
    postgres = resources.use(await openPostgres(18));
    resources.defer(() => void locker?.kill());
    postgres.execute("create role backup login password 'geheim' in role pg_read_all_data; create database app");
    // Little on the disk, and much to be sent: a dump that takes a while.
    postgres.execute(
      `create table small (x int); insert into small values (1); create table large (body text);
       insert into large select repeat('x', 10000000) from generate_series(1, 15)`,
      "app",
    );
    redis = resources.use(await openRedis());
    fillRedis();
    const receiver = resources.use(await openReceiver());
    const installation = resources.use(await createInstallation({ dir, config: createConfig(receiver.url), init: ["disk", "small"] }));
    const running = await installation.start();
    bed = { installation, receiver, place: (name) => join(dir, name === "tight" ? "small" : "disk") };
    for (const name of jobs) {
      const { status, stdout, stderr } = await installation.holdfast(["backup", name]);
      assert.equal(status, 0, `${name}: ${stdout}${stderr}${running.log()}`);
    }
  });

  after(() => resources.disposeAsync());

  /** Resolves when the large table is being sent; the statement that follows is run by the server at once. */
  async function whileCopying(statement = "select 1"): Promise<void> {
    const sql = `do $$ begin
      for n in 1..10000 loop
        perform pg_stat_clear_snapshot();
        exit when exists (select from pg_stat_activity where query like 'COPY%large%' and pid <> pg_backend_pid() and state = 'active' and backend_start > '${new Date().toISOString()}');
        perform pg_sleep(0.002);
      end loop; end $$; ${statement}`;
    const address = ["-h", postgres.socketDirectory, "-p", String(postgres.port), "-U", "postgres"];
    await runCommand([join(postgres.binDir, "psql"), "-X", "-q", "-d", "app", ...address, "-c", sql], { accept: [0, 2] });
  }

  /** The server's saving takes three seconds, and is waited for. */
  async function whileSaving(run: RunningBackup): Promise<void> {
    await run.waitUntil("the server saves", () => /rdb_bgsave_in_progress:1/.test(redis.call("INFO", "persistence")));
  }

  const slowDown = (): unknown => redis.call("CONFIG", "SET", "rdb-key-save-delay", "10000");
  const speedUp = (): unknown => redis.call("CONFIG", "SET", "rdb-key-save-delay", "0");
  const listChildren = (): readonly string[] =>
    redis.pid === undefined ? [] : readFileSync(`/proc/${redis.pid}/task/${redis.pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  /** With its saving child, which outlives it by a moment. */
  const stopRedis = async (): Promise<void> => {
    const children = listChildren();
    await redis.stop();
    await waitUntil("the child's end", () => !children.some((pid) => existsSync(`/proc/${pid}`)));
  };
  const restartRedis = async (): Promise<void> => {
    await stopRedis();
    rmSync(join(redis.directory, "log"), { force: true });
    await redis.start();
    fillRedis();
  };

  async function lock(): Promise<void> {
    const env = { ...process.env, PGHOST: postgres.socketDirectory, PGPORT: String(postgres.port), PGUSER: "postgres", PGDATABASE: "app" };
    locker = spawn(join(postgres.binDir, "psql"), ["-X", "-q", "-A", "-t"], { env, stdio: ["pipe", "pipe", "ignore"] });
    locker.stdin?.write("begin; lock table small in access exclusive mode; select 'locked';\n");
    await once(locker.stdout ?? assert.fail(), "data");
  }

  async function unlock(): Promise<void> {
    locker?.stdin?.end();
    await once(locker ?? assert.fail(), "close");
  }

  const readForkLimit = (): string => /^Max processes +(\S+)/m.exec(readFileSync(`/proc/${redis.pid}/limits`, "utf8"))?.[1] ?? "unlimited";
  const limitForks = (limit: string): void => {
    const asServer = ["--reuid=redis", "--regid=redis", "--clear-groups", "--"];
    execFileSync("setpriv", [...asServer, "prlimit", "--pid", String(redis.pid), `--nproc=${limit}:`]);
  };
  let forkLimit = "";
  const fillDisk = (): unknown => execFileSync("sh", ["-c", `cat /dev/zero > ${dir}/small/filler || true`], { stdio: "pipe" });
  const useTools = (binDir: string): void => {
    rmSync(join(dir, "tools"));
    symlinkSync(binDir, join(dir, "tools"));
  };
  const giveRedisData = (owner: number): void => {
    chmodSync(redis.data, 0o755);
    chownSync(redis.data, owner, owner === 0 ? 0 : owner);
  };

  const breakages: Readonly<Record<string, Breakage>> = {
    "F33 PostgreSQL: the password was changed": {
      job: "db",
      breaks: () => postgres.execute("alter role backup password 'other'"),
      mends: () => postgres.execute("alter role backup password 'geheim'"),
      says: /^Cannot read "db": password authentication failed/,
      remedy: /Check user, password/,
    },
    "F34 PostgreSQL: the database was dropped": {
      job: "db",
      breaks: () => postgres.execute("create database kept template app; drop database app".replace("; ", ";\n")),
      mends: () => postgres.execute("alter database kept rename to app"),
      says: /^Cannot read "db": database "app" does not exist/,
      remedy: /Check `database`/,
    },
    "F34 PostgreSQL: the server is stopped in mid-dump": {
      job: "db",
      strikes: async () => {
        await whileCopying();
        await postgres.stop("fast");
      },
      mends: () => postgres.start(),
      says: /^Cannot dump "db": .*(terminating connection|server closed|connection to server)/,
      remedy: /stopped or restarted/,
    },
    "F34 PostgreSQL: the server crashes and is started again in mid-dump": {
      job: "db",
      strikes: async () => {
        await whileCopying();
        await postgres.stop("immediate");
        await postgres.start();
      },
      says: /^Cannot dump "db": .*(terminating connection|server closed|connection to server)/,
      remedy: /stopped or restarted/,
    },
    "F34 PostgreSQL: the dump's connection is killed": {
      job: "db",
      strikes: () =>
        whileCopying("select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY%large%' and pid <> pg_backend_pid()"),
      says: /^Cannot dump "db": .*(terminating connection|server closed|connection to server)/,
      remedy: /stopped or restarted/,
    },
    "F35 PostgreSQL: a table stays locked": {
      job: "db",
      breaks: lock,
      mends: unlock,
      says: /^Cannot dump "db": .*(lock|LOCK TABLE)/,
      remedy: /lockTimeout/,
    },
    "F37 PostgreSQL: the client is older than the server": {
      job: "db",
      breaks: () => useTools(findBinDir(15)),
      mends: () => useTools(findBinDir(18)),
      says: /pg_dump 15\.\d+ is too old for PostgreSQL 18/,
      remedy: /[Ii]nstall/,
    },
    "F33 PostgreSQL: a table that the role may not read": {
      job: "db",
      breaks: () => postgres.execute("revoke pg_read_all_data from backup"),
      mends: () => postgres.execute("grant pg_read_all_data to backup"),
      says: /^Cannot dump "db": .*permission denied/,
      remedy: /GRANT pg_read_all_data/,
    },
    "F34 PostgreSQL: pg_dump is killed as by the kernel that has no memory left": {
      job: "db",
      strikes: async (run) => {
        await whileCopying();
        process.kill(await run.findProcess("pg_dump"), "SIGKILL");
      },
      says: /^Cannot dump "db": pg_dump was killed by SIGKILL/,
      remedy: /memory/,
    },
    "zstd is killed as by the kernel that has no memory left": {
      job: "db",
      strikes: async (run) => {
        await whileCopying();
        process.kill(await run.findProcess("zstd"), "SIGKILL");
      },
      says: /zstd was killed by SIGKILL/,
      remedy: /memory/,
    },
    "A15 the destination is full before the run": {
      job: "tight",
      breaks: fillDisk,
      mends: () => rmSync(join(dir, "small/filler")),
      says: /This run may need .* in the destination "small", where 0 B are free/,
      remedy: /^Free some space/,
    },
    "F14 the destination fills up in mid-dump": {
      job: "tight",
      strikes: async () => {
        await whileCopying();
        fillDisk();
      },
      mends: () => rmSync(join(dir, "small/filler")),
      says: /no space left on the file system/,
      remedy: /[Ff]ree/,
    },
    "F43 Redis: its directory cannot be written to": {
      job: "saved",
      breaks: () => giveRedisData(0),
      mends: () => giveRedisData(statSync(redis.directory).uid),
      says: /^Cannot dump "saved": the server's background save failed/,
      remedy: /directory is not writable/,
    },
    "F43 Redis: it may not fork, as without memory": {
      job: "saved",
      breaks() {
        forkLimit = readForkLimit();
        limitForks("1");
      },
      mends: () => limitForks(forkLimit),
      says: /^Cannot dump "saved": the server.* background save/,
      remedy: /fork/,
    },
    "F43 Redis: its saving child is killed as by the kernel that has no memory left": {
      job: "saved",
      breaks: slowDown,
      strikes: async (run) => {
        await whileSaving(run);
        process.kill(Number(listChildren()[0]), "SIGKILL");
      },
      mends: speedUp,
      says: /^Cannot dump "saved": the server's background save failed/,
      remedy: /fork|memory/,
    },
    "F45 Redis: the server is stopped in mid-save": {
      job: "saved",
      breaks: slowDown,
      strikes: async (run) => {
        await whileSaving(run);
        await stopRedis();
      },
      mends: restartRedis,
      says: /^Cannot dump "saved": the server at .*(ECONNRESET|[Cc]onnection)/,
      remedy: /stopped, restarted/,
    },
    "F45 Redis: the server is stopped in mid-dump": {
      job: "cache",
      breaks: slowDown,
      strikes: async (run) => {
        await whileSaving(run);
        await stopRedis();
      },
      mends: restartRedis,
      says: /^Cannot dump "cache": .*redis-cli/,
      remedy: /log says why .*a stop/,
    },
    "F45 Redis: redis-cli is killed as by the kernel that has no memory left": {
      job: "cache",
      breaks: slowDown,
      strikes: async (run) => {
        await whileSaving(run);
        process.kill(await run.findProcess("redis-cli"), "SIGKILL");
      },
      mends: restartRedis,
      says: /^Cannot dump "cache": .*redis-cli was killed by SIGKILL/,
      remedy: /memory/,
    },
    "F33 Redis: the password was changed": {
      job: "cache",
      breaks: () => redis.call("CONFIG", "SET", "requirepass", "other"),
      mends: restartRedis,
      says: /^Cannot read "cache": .*NOAUTH/,
      remedy: /Check user and password/,
    },
    "F20 SQLite: the file is out of its reader's reach": {
      job: "file",
      breaks: () => chownSync(join(dir, "data"), 0, 0) ?? chmodSync(join(dir, "data"), 0o700),
      mends: () => chmodSync(join(dir, "data"), 0o755) ?? chownSync(join(dir, "data"), nobody, nobody),
      says: /"file": \S+\/data\/file\.db: unable to open/,
      remedy: /./,
    },
    "F50 SQLite: the file is empty": {
      job: "file",
      breaks: () => {
        renameSync(join(dir, "data/file.db"), join(dir, "data/kept"));
        writeFileSync(join(dir, "data/file.db"), "");
        chownSync(join(dir, "data/file.db"), nobody, nobody);
      },
      mends: () => renameSync(join(dir, "data/kept"), join(dir, "data/file.db")),
      says: /file\.db is empty/,
      remedy: /./,
    },
    "F50 files: the directory is empty, as without its disk": {
      job: "tree",
      breaks: () => renameSync(join(dir, "tree/file"), join(dir, "kept")),
      mends: () => renameSync(join(dir, "kept"), join(dir, "tree/file")),
      says: /the directory is empty/,
      remedy: /./,
    },
  };

  for (const [title, breakage] of Object.entries(breakages)) test(`G7 ${title}`, async () => await assertNoFalseSuccess(bed, breakage));

  test("F46 F50 a server that was emptied is no success: suspect from the first time on, and the good backup stays", async () => {
    const [good = ""] = await listBackups(bed.installation, "saved");
    redis.call("FLUSHALL");
    const { status, stdout } = await bed.installation.holdfast(["backup", "saved"]);
    fillRedis();
    assert.equal(status, 3, stdout);
    assert.match(stdout, /suspect: saved is empty/);
    assert.ok((await listBackups(bed.installation, "saved")).includes(good));
    assert.match((await bed.installation.holdfast(["status"])).stdout, /saved is empty/);
  });

  test("G3 all of them can be backed up again, and only now retention takes the old ones", async () => {
    for (const name of jobs) {
      const before = await listBackups(bed.installation, name);
      const { details } = await bed.installation.json<{ details: { name: string } }>(["backup", name]);
      assert.ok(!before.includes(details.name));
      await waitUntil(
        `the removal of ${before.join(", ")}`,
        async () => String(await listBackups(bed.installation, name)) === details.name,
      );
    }
  });
});
