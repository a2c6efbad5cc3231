import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { openPostgres, type PostgresServer } from "../support/postgres.ts";
import { openRedis, type RedisServer } from "../support/redis.ts";

const createConfig = (database: PostgresServer, cache: RedisServer, disk: string): string => `
destinations:
  disk: { kind: local, path: ${disk} }
datastores:
  db: { kind: postgresql, host: ${database.socketDirectory}, port: ${database.port}, user: postgres, database: app, waitFor: 0s }
  cache: { kind: redis, socket: ${cache.socket}, rdbPath: ${cache.rdb}, waitFor: 0s }
  patient: { kind: postgresql, host: ${database.socketDirectory}, port: ${database.port}, user: postgres, database: app, waitFor: 20s }
  locked:
    kind: postgresql
    host: 127.0.0.1
    port: ${database.port}
    user: postgres
    password: { file: ${disk}-password }
    database: app
    waitFor: 0s
jobs:
  bot:
    datastores: [db, cache]
    onMissing: skip
    destination: disk
    infoFiles: [backup_info.txt]
    shrink: { minHistory: 1 }
    retry: { attempts: 1 }
    restore:
      check:
        shell: 'test "$(psql -h ${database.socketDirectory} -p ${database.port} -U postgres -d app -Atc "SELECT COUNT(*) FROM \\"Users\\"")" -gt 0'
        retryFor: 1s
  patient: { datastores: [patient], destination: disk, retry: { attempts: 1 } }
  barred: { datastores: [locked, cache], onMissing: skip, destination: disk, retry: { attempts: 1 } }
`;

interface Listed {
  readonly name: string;
  readonly status: string;
  readonly suspect: readonly string[];
  readonly members: readonly { readonly datastore: string; readonly status: string }[];
}

/** The steps follow one another. */
describe("servers, with a daemon", { timeout: 600_000 }, () => {
  const resources = new AsyncDisposableStack();
  let database: PostgresServer;
  let cache: RedisServer;
  let server: Installation;
  let disk = "";
  let whole = "";
  let partial = "";
  const list = (): Promise<readonly Listed[]> => server.json<readonly Listed[]>(["list", "bot"]);
  const read = (sql: string): string => database.execute(sql, "app").trim();

  before(async () => {
    database = resources.use(await openPostgres(15));
    cache = resources.use(await openRedis());
    server = resources.use(await createInstallation({ config: (dir) => createConfig(database, cache, join(dir, "disk")) }));
    disk = join(server.dir, "disk");
    writeFileSync(`${disk}-password`, "wrong", { mode: 0o600 });
    assert.equal((await server.holdfast(["destination", "init", "disk"])).status, 0);
    database.execute("CREATE DATABASE app");
    database.execute(
      `CREATE TABLE "Users" (id int PRIMARY KEY, name text); INSERT INTO "Users" SELECT n, 'user ' || n FROM generate_series(1, 100) n;
       CREATE TABLE story (id int, body text); INSERT INTO story SELECT n, repeat('word ', 10) FROM generate_series(1, 1000) n`,
      "app",
    );
    cache.call("SET", "greeting", "hello");
    await server.start();
  });

  after(() => resources.disposeAsync());

  it("W1 W2 both servers go into one backup, and the info says what became of each", async () => {
    const { status, stderr } = await server.holdfast(["backup", "bot"]);
    assert.equal(status, 0, stderr);
    whole = (await list())[0]?.name ?? "";
    const { stdout } = await server.holdfast(["show", whole, "--info"]);
    assert.match(stdout, /^db \(postgresql\): ok, 1 file, /m);
    assert.match(stdout, /^cache \(redis\): ok, 1 file, /m);
    assert.match(stdout, /"?Users"?: 100 rows$/m);
  });

  it("D10 W3 the commands of RESTORE.txt load both into their servers with the servers' own tools", async () => {
    const { stdout } = await server.holdfast(["show", whole, "--restore-text"]);
    const commands = stdout.split("\n").filter((line) => line.startsWith("  "));
    database.execute("ALTER DATABASE app RENAME TO app_before");
    await cache.stop();
    execFileSync("sh", ["-e", "-u", "-c", commands.join("\n")], { cwd: join(disk, "bot", whole), stdio: "pipe" });
    await cache.start();
    assert.equal(read(`SELECT count(*), (SELECT count(*) FROM story) FROM "Users"`), "100|1000");
    assert.equal(cache.call("GET", "greeting"), "hello");
  });

  it("A6 one table comes back, the rest is untouched, and the undo touches that table alone", async () => {
    database.execute(
      `UPDATE "Users" SET name = 'changed'; DELETE FROM "Users" WHERE id > 50; INSERT INTO story VALUES (1001, 'new')`,
      "app",
    );
    const plan = await server.holdfast(["restore", whole, "--only", "db", "--table", "Users", "--plan"]);
    assert.match(plan.stdout, /only +tables Users; everything else stays as it is/);
    const { status, stderr } = await server.holdfast(["restore", whole, "--only", "db", "--table", "Users", "--yes"]);
    assert.equal(status, 0, stderr);
    assert.equal(read(`SELECT count(*), min(name) FROM "Users"`), "100|user 1");
    assert.equal(read("SELECT count(*) FROM story"), "1001");
    database.execute("INSERT INTO story VALUES (1002, 'newer')", "app");
    const undone = await server.holdfast(["undo", "--yes"]);
    assert.equal(undone.status, 0, undone.stderr);
    assert.equal(read(`SELECT count(*), min(name) FROM "Users"`), "50|changed");
    assert.equal(read("SELECT count(*) FROM story"), "1002");
    const unknown = await server.holdfast(["restore", whole, "--only", "db", "--table", "Nobody", "--yes"]);
    assert.notEqual(unknown.status, 0);
    assert.match(unknown.stderr, /Nobody/);
  });

  it("W8 a table that was emptied makes the next backup suspect, and it is told", async () => {
    database.execute("DELETE FROM story WHERE id > 10", "app");
    const { status, stdout } = await server.holdfast(["backup", "bot"]);
    assert.equal(status, 3);
    assert.match(stdout, /suspect: db has /);
    database.execute("INSERT INTO story SELECT n, repeat('word ', 10) FROM generate_series(11, 1002) n", "app");
  });

  it("W5 a server that does not run is left out, and the other one comes back alone", async () => {
    await cache.stop();
    const { status, stdout } = await server.holdfast(["backup", "bot"]);
    assert.equal(status, 3);
    assert.match(stdout, /partial: cache: it is not there and was left out/);
    const [newest] = await list();
    partial = newest?.name ?? "";
    assert.deepEqual(
      newest?.members.map(({ datastore, status: state }) => `${datastore} ${state}`),
      ["db ok", "cache failed"],
    );
    assert.deepEqual(newest?.suspect, []);
    database.execute(`DELETE FROM "Users"`, "app");
    const restored = await server.holdfast(["restore", partial, "--yes", "--accept-doubtful"]);
    assert.equal(restored.status, 0, restored.stderr);
    assert.match(restored.stderr, /cache is not in this backup and stays as it is now/);
    assert.equal(read(`SELECT count(*) FROM "Users"`), "50");
  });

  it("W5 no server runs: failed, and nothing is published", async () => {
    await database.stop();
    const before = await list();
    const checked = (await server.holdfast(["check"])).stdout;
    assert.match(checked, /^fail\b.*source patient/im);
    assert.match(checked, /^warn\b.*source cache/im);
    const { status, stderr } = await server.holdfast(["backup", "bot"]);
    assert.equal(status, 1);
    assert.match(stderr, /none of its datastores is there: "db": [^]*"cache": /);
    assert.deepEqual(await list(), before);
    await database.start();
    await cache.start();
  });

  it("W5 a server that is still starting is waited for, and the one who waits is told", async () => {
    await database.stop();
    const said = Promise.withResolvers<void>();
    const run = server.holdfast(["backup", "patient"], { whenSaid: { text: /^waiting for an answer of patient$/m, act: said.resolve } });
    await Promise.race([said.promise, run]);
    await database.start();
    const { status, stderr } = await run;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^waiting for an answer of patient$/m);
  });

  it("W5 a wrong password is never passed over", async () => {
    const { status, stderr } = await server.holdfast(["backup", "barred"]);
    assert.equal(status, 1);
    assert.match(stderr, /password/);
    assert.deepEqual(await server.json(["list", "barred"]), []);
  });

  it("A14 W9 on new servers one command makes the database again, loads both and asks the operator's query", async () => {
    cache.call("SET", "greeting", "hello again");
    assert.equal((await server.holdfast(["backup", "bot"])).status, 0);
    const [last] = await list();
    await using freshDatabase = await openPostgres(15);
    await using freshCache = await openRedis();
    await using machine = await createInstallation({
      config: createConfig(freshDatabase, freshCache, disk),
      env: { HOLDFAST_HOSTNAME: "new" },
    });
    await machine.start();
    const { status, stdout, stderr } = await machine.holdfast(["restore", "latest", "--job", "bot", "--yes"]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^ok: db, cache restored from ${last?.name}`));
    assert.equal(freshDatabase.execute(`SELECT count(*) FROM "Users"`, "app").trim(), "50");
    assert.equal(freshCache.call("GET", "greeting"), "hello again");
  });
});
