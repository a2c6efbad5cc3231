import { chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createId } from "../../src/base/ids.ts";
import type { Hook } from "../../src/config/config.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import type { DatastoreSetup } from "../../src/operations/setup.ts";
import { openBackupBed, type BackupBed } from "./backup-bed.ts";
import { listLeftovers } from "./datastore.ts";
import { findAccount, openPostgres } from "./postgres.ts";
import { openRedis, type RedisServer } from "./redis.ts";
import { worldPaths } from "./small-world.ts";

/** A server, or several, with small data; what a restore replaces is seen as text, and can be made anew. */
export interface ServedData extends AsyncDisposable {
  readonly datastores: readonly DatastoreSetup[];
  readonly parts?: readonly string[];
  /** Commands around a restore that end the server itself, and start it; none where it goes on. */
  readonly stop?: string;
  readonly start?: string;
  /** `raw`: what is there cannot be saved by then, and stays aside. */
  readonly unsavable?: "raw";
  /** Makes the data that a backup is made of. */
  fill(): Promise<void>;
  /** Makes the data that stands there when the restore begins, whatever is there now. */
  change(): Promise<void>;
  /** All that a restore replaces, and all of its surroundings that it must not touch. */
  read(): string;
  /** What a restore has left. */
  listLeftovers(): readonly string[];
}

export interface ServerWorld extends AsyncDisposable {
  readonly bed: BackupBed;
  readonly root: string;
  readonly data: ServedData;
  readonly backup: BackupResult;
}

/** Everything of a restore of servers but the restore: a backup of them, and other data than it has. */
export async function openServerWorld(open: () => Promise<ServedData>): Promise<ServerWorld> {
  await using resources = new AsyncDisposableStack();
  const bed = resources.use(await openBackupBed());
  const { temporary, running } = worldPaths(bed.dir);
  mkdirSync(temporary);
  writeFileSync(running, "");
  const data = resources.use(await open());
  await data.fill();
  const backup = await bed.run(bed.describe(data.datastores));
  await data.change();
  const owned = resources.move();
  return { bed, root: bed.dir, data, backup, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** As the daemon makes it, of everything in the backup. The application is a file that is there while it runs. */
export function describeServerRestore({ bed, root, data, backup }: ServerWorld): RestoreSetup {
  const { running, journals, staging } = worldPaths(root);
  const restoreId = createId(Date.now());
  const hook = (script: string): Hook => ({ command: ["/bin/sh", "-c", script], timeoutMs: 30_000 });
  const stagingDir = join(staging, restoreId);
  const preRestore = bed.describe(data.datastores, {
    class: "pre-restore",
    nameTemplate: "pre_{YYYYMMDD}_{HHmmss}",
    stagingDir: join(stagingDir, "pre-restore"),
  });
  mkdirSync(preRestore.stagingDir, { recursive: true, mode: 0o711 });
  return {
    host: "host",
    version: "0.0.0",
    stagingDir,
    restoreId,
    address: { destination: preRestore.destination, folder: backup.folder, key: backup.manifestKey, lone: false },
    job: "nightly",
    members: data.datastores.map(({ name, options }) => ({ datastore: name, options })),
    stop: [`rm '${running}'`, ...(data.stop === undefined ? [] : [data.stop])].map(hook),
    start: [...(data.start === undefined ? [] : [data.start]), `: > '${running}'`].map(hook),
    check: [{ kind: "command", ...hook(`test -e '${running}'`), retryForMs: 0 }],
    journalDir: journals,
    preRestore,
    unsavable: data.unsavable ?? "refuse",
    ...(data.parts === undefined ? {} : { parts: data.parts }),
  };
}

interface PostgresSettings {
  readonly options: Readonly<Record<string, unknown>>;
  readonly parts?: readonly string[];
  /** A directory for the databases; it must be empty. */
  readonly tablespace?: string;
  /** Of each of the 40 rows of a table; few without. */
  readonly rowBytes?: number;
}

/** A database with a few tables, a view and grants, another one, and roles. */
export async function openPostgresData({ options, parts, tablespace, rowBytes = 0 }: PostgresSettings): Promise<ServedData> {
  const server = await openPostgres(15);
  const make = (database: string, n: number): void => {
    server.execute(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    server.execute(`CREATE DATABASE ${database} OWNER ann CONNECTION LIMIT 9 ${tablespace === undefined ? "" : "TABLESPACE small"}`);
    server.execute(
      `CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL);
       CREATE TABLE note (id serial PRIMARY KEY, who int REFERENCES person, body text, more text);
       CREATE INDEX by_body ON note (body); CREATE VIEW last AS SELECT max(id) AS id FROM note;
       INSERT INTO person SELECT i, 'p' || i FROM generate_series(1, 5) i;
       INSERT INTO note (who, body, more) SELECT 1 + i % 5, md5(${n} || ':' || i), repeat(md5(i::text), ${Math.ceil(rowBytes / 32)})
         FROM generate_series(1, ${n}) i;
       ALTER TABLE person OWNER TO ann; ALTER TABLE note OWNER TO ann; GRANT SELECT ON note TO bob`,
      database,
    );
  };
  const list = (): readonly string[] =>
    server
      .execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1")
      .split("\n")
      .filter(Boolean);
  const read = (database: string): string =>
    [
      server.execute(`SELECT pg_get_userbyid(datdba), datconnlimit, datallowconn, datacl FROM pg_database WHERE datname = '${database}'`),
      ...["person", "note"].map((table) =>
        server.execute(
          `SELECT '${table}', count(*), md5(string_agg(t::text, ',' ORDER BY id)), '${table}'::regclass::oid IS NOT NULL FROM ${table} t;
           SELECT pg_get_userbyid(relowner), relacl, relkind FROM pg_class WHERE relname = '${table}';
           SELECT indexdef FROM pg_indexes WHERE tablename = '${table}' ORDER BY 1;
           SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = '${table}'::regclass AND NOT tgisinternal`,
          database,
        ),
      ),
      server.execute(
        "SELECT conname, convalidated FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1; SELECT id FROM last; SELECT last_value FROM note_id_seq",
        database,
      ),
    ].join("");
  return {
    datastores: [{ name: "shop", kind: "postgresql", options: server.options({ binDir: server.binDir, ...options }), shrink: "off" }],
    ...(parts === undefined ? {} : { parts }),
    async fill() {
      server.execute("CREATE ROLE ann LOGIN; CREATE ROLE bob");
      if (tablespace !== undefined) {
        const { uid, gid } = findAccount();
        chownSync(tablespace, uid, gid);
        server.execute(`CREATE TABLESPACE small LOCATION '${tablespace}'`);
      }
      make("shop", 40);
      make("crm", 20);
    },
    async change() {
      for (const database of list())
        if (database !== "shop" && database !== "crm") server.execute(`DROP DATABASE "${database}" WITH (FORCE)`);
      make("shop", 55);
      make("crm", 30);
    },
    read: () => [list().join(), ...["crm", "shop"].map(read)].join("\n"),
    listLeftovers: () => [
      ...list().filter((name) => name.includes("holdfast")),
      ...["shop", "crm"].flatMap((database) =>
        server.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ 'holdfast'", database).split("\n").filter(Boolean),
      ),
      ...server.execute("SELECT rolname FROM pg_roles WHERE rolname ~ 'holdfast'").split("\n").filter(Boolean),
    ],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

interface RedisSettings {
  /** `stopped`: the commands around a restore end the server and start it, so that its files are replaced. */
  readonly during: "running" | "stopped";
  readonly config: readonly string[];
  /** Where it lies; it must not be there yet. */
  readonly directory?: string;
}

/** Keys of some types in two databases. */
export async function openRedisData({ during, config, directory }: RedisSettings): Promise<ServedData> {
  const server = await openRedis({ config, ...(directory === undefined ? {} : { directory }) });
  const make = (n: number): void => {
    server.call("FLUSHALL");
    server.call("EVAL", `for i = 1, ${n} do redis.call('SET', 'key:' .. i, string.rep('${n}', i)) end`, "0");
    server.run(["-n", "3"], `RPUSH list a b ${n}\nHSET hash a ${n}\nEXPIRE hash 100000\n`);
  };
  return {
    datastores: [{ name: "cache", kind: "redis", options: server.options({ waitFor: "10s", syncTimeout: "20s" }), shrink: "off" }],
    ...(during === "running" ? {} : describeService(server)),
    async fill() {
      make(40);
    },
    async change() {
      if (server.pid === undefined) await server.start();
      for (const path of listLeftovers(server.directory)) rmSync(join(server.directory, path), { recursive: true, force: true });
      make(55);
    },
    read: () => readRedis(server),
    listLeftovers: () => listLeftovers(server.directory),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Also of a server that has ended: what a restart would bring is what counts. It takes writes, and follows nobody. */
function readRedis(server: RedisServer): string {
  if (server.pid === undefined) return "the server does not run";
  const settings = ["appendonly", "masterauth", "save", "replica-read-only", "maxmemory"].map((name) => server.call("CONFIG", "GET", name));
  const role = /role:\w+/.exec(server.call("INFO", "replication"))?.[0] ?? "";
  const writes = server.call("SET", "probe", "1");
  server.call("DEL", "probe");
  return [role, writes, server.readDigest(), ...settings].join("\n");
}

function describeService(server: RedisServer): Pick<ServedData, "stop" | "start" | "unsavable"> {
  const cli = `redis-cli -s ${server.socket}`;
  const config = join(server.directory, "config");
  const wait = `until ${cli} ping 2>/dev/null | grep -q PONG; do sleep 0.02; done`;
  return {
    unsavable: "raw",
    stop: `${cli} shutdown; while test -e ${join(server.directory, "pid")}; do sleep 0.02; done`,
    start: `${cli} ping 2>/dev/null | grep -q PONG || { setpriv --reuid redis --regid redis --init-groups -- redis-server ${config} && ${wait}; }`,
  };
}

/** Of several kinds together. */
export async function openGroupData(members: readonly (() => Promise<ServedData>)[]): Promise<ServedData> {
  await using resources = new AsyncDisposableStack();
  const all: ServedData[] = [];
  for (const open of members) all.push(resources.use(await open()));
  const owned = resources.move();
  return {
    datastores: all.flatMap(({ datastores }) => datastores),
    async fill() {
      for (const one of all) await one.fill();
    },
    async change() {
      for (const one of all) await one.change();
    },
    read: () => all.map((one) => one.read()).join("\n====\n"),
    listLeftovers: () => all.flatMap((one) => one.listLeftovers()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Empties the staging directories, as the daemon does at its start. */
export function sweepStaging({ root }: ServerWorld): void {
  const { staging } = worldPaths(root);
  for (const name of readdirSync(staging)) rmSync(join(staging, name), { recursive: true });
}
