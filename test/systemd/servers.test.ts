import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bedCheckout, SystemdBed } from "../support/systemd-bed.ts";

// The units of the servers are those of the system's packages, with their own sandboxes; under other names, for the machine's may be in use.
const server = "kind: postgresql, runAs: postgres, host: /run/postgresql, port: 5477, user: postgres";
const cache = "kind: redis, socket: /run/redis/app.sock, password: { file: /etc/holdfast/redis-password }";
const config = `
destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  database: { ${server}, database: app }
  cache: { ${cache} }
  parallel: { ${server}, database: app, format: directory }
  everything: { ${server}, format: cluster }
  portable: { ${server}, database: app, format: sqlite }
jobs:
  servers:
    datastores: [database, cache]
    destination: local
    restore: { check: { shell: 'while test -e /run/hold; do touch /run/held; sleep 0.1; done' } }
  parallel: { datastores: [parallel], destination: local }
  everything: { datastores: [everything], destination: local }
  portable: { datastores: [portable], destination: local }
`;
/** What a stopped server has is replaced where it lies. */
const withFiles = `${config.replace("jobs:", `  files: { ${cache}, rdbPath: /var/lib/redis/app.rdb }\njobs:`).trimEnd()}
  stopped:
    datastores: [files]
    destination: local
    restore: { stop: [{ shell: systemctl stop app-redis }], start: [{ shell: systemctl start app-redis }] }
`;
const password = "spinel-thicket-41";
const redisConfig = `port 0
unixsocket /run/redis/app.sock
unixsocketperm 770
dir /var/lib/redis
dbfilename app.rdb
appendonly yes
requirepass ${password}
`;
const createUnit = `sed 's#/etc/redis/redis.conf#/etc/redis/app.conf#; /^Alias=/d' /lib/systemd/system/redis-server.service`;

let bed: SystemdBed;

before(async () => {
  bed = await SystemdBed.open(AbortSignal.timeout(120_000));
  await bed.shell(`${bedCheckout}/scripts/install`, 300_000);
  await bed.write("/etc/redis/app.conf", redisConfig, "0640");
  await bed.write("/etc/holdfast/redis-password", `${password}\n`, "0600");
  await bed.write("/etc/holdfast/holdfast.yaml", config, "0640");
  await bed.shell(`pg_createcluster 15 app --port 5477 >/dev/null; systemctl start postgresql@15-app
    chown redis /etc/redis/app.conf; ${createUnit} > /etc/systemd/system/app-redis.service; systemctl daemon-reload; systemctl start app-redis`);
  await ask("CREATE ROLE owner LOGIN", "postgres");
  await ask("CREATE DATABASE app OWNER owner", "postgres");
  await ask("CREATE TABLE users (id bigint PRIMARY KEY, name text); ALTER TABLE users OWNER TO owner");
  await ask("INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 1000) n");
  await askCache("MSET a 1 b 2 c 3");
  await bed.shell("holdfast destination init local && systemctl start holdfast");
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

async function ask(sql: string, database = "app"): Promise<string> {
  return await bed.shell(`runuser -u postgres -- psql -v ON_ERROR_STOP=1 -p 5477 -qXAt -d ${database} -c "${sql}"`);
}

async function askCache(command: string): Promise<string> {
  return await bed.shell(`REDISCLI_AUTH=${password} redis-cli -e -s /run/redis/app.sock ${command}`);
}

async function readCounts(): Promise<string> {
  return `${await ask("SELECT count(*) FROM users")} ${await askCache("GET a")}`;
}

/** Owners and modes of the cache's files. */
async function readModes(): Promise<string> {
  return await bed.shell("cd /var/lib/redis; stat -c '%U %a %n' app.rdb appendonlydir | paste -sd,");
}

/** Backs up, reads back, loads into scratch servers; spoils the data, restores it, and takes that back. */
async function goRound(job: string, options = ""): Promise<readonly string[]> {
  await bed.shell(`holdfast backup ${job}; holdfast verify latest --job ${job}; holdfast drill latest --job ${job}`, 120_000);
  const whole = await readCounts();
  await ask("DELETE FROM users WHERE id > 990");
  await askCache("SET a spoilt");
  const spoilt = await readCounts();
  await bed.shell(`holdfast restore latest --job ${job} --yes ${options}`, 120_000);
  const restored = await readCounts();
  await bed.shell("holdfast undo --yes", 120_000);
  const undone = await readCounts();
  await ask("INSERT INTO users SELECT n, 'name ' || n FROM generate_series(991, 1000) n");
  await askCache("SET a 1");
  return [whole, spoilt, restored, undone];
}

test("G4: the service reaches servers by peer authentication and by sockets with no drop-in, and starts after them", async () => {
  const { status, stdout } = await bed.run(["holdfast", "check"]);
  assert.equal(status, 0, stdout);
  assert.doesNotMatch(stdout, /^FAIL/m);
  assert.match(stdout, /^ok +source database: PostgreSQL 15/m);
  assert.match(stdout, /^ok +source cache: Redis .* 3 keys, by background save/m);
  const order = (await bed.shell("systemctl show --value -p After holdfast")).split(" ");
  assert.deepEqual(
    ["postgresql.service", "redis-server.service", "docker.service"].filter((unit) => !order.includes(unit)),
    [],
  );
});

test("G4: PostgreSQL and Redis are backed up, verified, drilled, restored and brought back inside the sandbox", async () => {
  assert.deepEqual(await goRound("servers"), ["1000 1", "990 spoilt", "1000 1", "990 spoilt"]);
  assert.equal(await ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'"), "owner");
  assert.equal(await bed.shell("ls -A /var/lib/redis | grep -c holdfast || true; ls -A /var/lib/holdfast/staging"), "0");
});

for (const job of ["parallel", "everything", "portable"]) {
  test(`G4: a PostgreSQL dump of another form goes round inside the sandbox: ${job}`, async () => {
    assert.deepEqual(await goRound(job), ["1000 1", "990 spoilt", "1000 spoilt", "990 spoilt"]);
  });
}

test("F5: a daemon that is killed while it restores servers has them as they were when it is started again", async () => {
  await bed.shell("holdfast backup servers", 120_000);
  await ask("DELETE FROM users WHERE id > 990");
  await askCache("SET a spoilt");
  await bed.shell("touch /run/hold; holdfast restore latest --job servers --yes --detach");
  await bed.waitFor("test -e /run/held");
  assert.equal(await readCounts(), "1000 1");
  await bed.shell("kill -9 $(systemctl show --value -p MainPID holdfast)");
  // In this order: it is no longer the former daemon that is active.
  await bed.waitFor("systemctl show --value -p NRestarts holdfast | grep -qx 1 && systemctl is-active holdfast");
  await bed.shell("rm /run/hold");
  assert.equal(await readCounts(), "990 spoilt");
  assert.equal(await ask("SELECT count(*) FROM pg_database WHERE datname NOT IN ('app', 'postgres') AND NOT datistemplate"), "0");
  assert.equal((await bed.run(["pgrep", "-x", "-u", "nobody", "redis-server"])).stdout, "");
  await ask("INSERT INTO users SELECT n, 'name ' || n FROM generate_series(991, 1000) n");
  await askCache("SET a 1");
});

test("the files of a stopped Redis are replaced when the drop-in that the check prints is there", async () => {
  await bed.write("/etc/holdfast/holdfast.yaml", withFiles, "0640");
  assert.match((await bed.run(["holdfast", "check"])).stdout, /^FAIL +unit: the service may not write to \/var\/lib\/redis/m);
  await bed.shell(`holdfast check --verbose | sed -n '/^# .etc.systemd/,$p' > /etc/systemd/system/holdfast.service.d/paths.conf
    systemctl daemon-reload; systemctl restart holdfast; holdfast check`);
  await bed.shell("holdfast backup stopped", 120_000);
  await askCache("SET a spoilt");
  const modes = await readModes();
  assert.equal(modes, "redis 660 app.rdb,redis 750 appendonlydir");
  await bed.shell("holdfast restore latest --job stopped --yes --unsavable raw", 120_000);
  assert.equal(await askCache("GET a"), "1");
  assert.equal(await readModes(), modes);
});
