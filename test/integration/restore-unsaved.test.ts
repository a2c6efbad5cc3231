import assert from "node:assert/strict";
import {
  cpSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  chmodSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import { findFreePort } from "../support/free-port.ts";
import { findAccount, openPostgres, PostgresServer } from "../support/postgres.ts";
import { openRedis } from "../support/redis.ts";
import { openRestoreBed, type RestoreBed } from "../support/restore-bed.ts";

const timeout = 60_000;
const fill = (server: PostgresServer, database: string, table: string): void => {
  server.execute(`CREATE TABLE ${table} (id int PRIMARY KEY); INSERT INTO ${table} SELECT generate_series(1, 5)`, database);
};
const add = (server: PostgresServer, database: string, table: string): void => {
  server.execute(`INSERT INTO ${table} SELECT generate_series(6, 1000)`, database);
};
const count = (server: PostgresServer, database: string, table: string): string =>
  server.execute(`SELECT count(*) FROM ${table}`, database).trim();

/** Nothing of it has been touched, nothing of ours stays, and the hint says what to do. */
async function assertRefused(server: PostgresServer, restoring: Promise<unknown>, message: RegExp, hint: RegExp): Promise<void> {
  await assert.rejects(restoring, (error) => {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    return true;
  });
  assert.equal(server.execute("SELECT datname FROM pg_database WHERE datname ~ 'holdfast'"), "");
}

interface World {
  readonly server: PostgresServer;
  readonly bed: RestoreBed;
  readonly options: (extra: Readonly<Record<string, unknown>>) => Record<string, unknown>;
}

async function withWorld(databases: readonly string[], act: (world: World) => Promise<void>): Promise<void> {
  await using server = await openPostgres(15);
  await using bed = await openRestoreBed("postgresql");
  for (const database of databases) {
    server.execute(`CREATE DATABASE ${database}`);
    fill(server, database, "note");
  }
  await act({ server, bed, options: (extra) => server.options({ binDir: server.binDir, ...extra }) });
}

for (const format of ["custom", "directory", "plain"]) {
  for (const part of [{ excludeTableData: ["log"] }, { schemaOnly: true }]) {
    test(`D5 A6 a table whose rows backups leave out is not emptied by its restore: ${format}, ${Object.keys(part)[0]}`, { timeout }, () =>
      withWorld(["shop"], async ({ server, bed, options }) => {
        fill(server, "shop", "log");
        const pg = options({ database: "shop", format, ...part });
        const backup = await bed.backup({ pg });
        await assertRefused(server, bed.restore(backup, { pg }, { parts: ["log"] }), /holds no rows of public\.log/, /excludeTableData/);
        assert.equal(count(server, "shop", "log"), "5");
        // Its own rows are another matter: there were none.
        server.execute("CREATE TABLE none (id int)", "shop");
        if ("schemaOnly" in part) return;
        await bed.restore(await bed.backup({ pg }), { pg }, { parts: ["none"] });
      }),
    );
  }
}

for (const format of ["custom", "sqlite"]) {
  test(`D5 A6 rows that the options leave out since the backup are not replaced unsaved: ${format}`, { timeout }, () =>
    withWorld(["shop"], async ({ server, bed, options }) => {
      fill(server, "shop", "log");
      const backup = await bed.backup({ pg: options({ database: "shop", format }) });
      add(server, "shop", "log");
      const pg = options({ database: "shop", format, excludeTables: ["log"] });
      const restoring = bed.restore(backup, { pg }, { parts: ["log"] });
      await assertRefused(server, restoring, /public\.log has rows in shop.*would be lost/, /excludeTableData/);
      assert.equal(count(server, "shop", "log"), "1000");
      // With nothing in it nothing is lost.
      server.execute("DELETE FROM log", "shop");
      await bed.restore(backup, { pg }, { parts: ["log"] });
      assert.equal(count(server, "shop", "log"), "5");
      assert.equal(server.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ 'holdfast'", "shop"), "");
    }),
  );
}

for (const [what, then, now, between] of [
  ["`databases` has fewer", { databases: ["shop", "crm"] }, { databases: ["shop"] }, undefined],
  ["it is excluded", { databases: "all" }, { databases: "all", excludeDatabases: ["crm"] }, undefined],
  ["it is closed", { databases: "all" }, { databases: "all" }, "ALLOW_CONNECTIONS false"],
  ["it is a template", { databases: "all" }, { databases: "all" }, "IS_TEMPLATE true"],
  ["a cluster then, one database now", { format: "cluster" }, { database: "shop" }, undefined],
] as const) {
  test(`D5 a database that the options do not mean any more is not replaced unsaved: ${what}`, { timeout }, () =>
    withWorld(["shop", "crm"], async ({ server, bed, options }) => {
      const backup = await bed.backup({ pg: options(then) });
      add(server, "crm", "note");
      if (between !== undefined) server.execute(`ALTER DATABASE crm WITH ${between}`);
      await assertRefused(server, bed.restore(backup, { pg: options(now) }), /database crm of the backup is there/, /databases/);
      server.execute("ALTER DATABASE crm WITH ALLOW_CONNECTIONS true");
      assert.equal(count(server, "crm", "note"), "1000");
    }),
  );
}

test("D5 an import goes into no other database than the one that is saved first", { timeout }, () =>
  withWorld(["shop", "staging"], async ({ server, bed, options }) => {
    add(server, "staging", "note");
    const pg = options({ database: "shop", format: "sqlite", restoreConnection: { database: "staging" } });
    await assertRefused(
      server,
      bed.restore(await bed.backup({ pg }), { pg }),
      /leads to staging.*would be lost/,
      /Name a database that does not exist yet/,
    );
    assert.equal(count(server, "staging", "note"), "1000");
  }),
);

/** A copy of a server's files, started beside it: it has its system identifier. */
async function openClone(server: PostgresServer): Promise<PostgresServer> {
  await server.stop();
  const directory = mkdtempSync(join(tmpdir(), "pg-clone-"));
  chmodSync(directory, 0o755);
  const data = join(directory, "data");
  cpSync(server.dataDirectory, data, { recursive: true });
  const { uid, gid } = findAccount();
  for (const path of [directory, data]) chownSync(path, uid, gid);
  for (const name of readdirSync(data, { recursive: true, encoding: "utf8" })) lchownSync(join(data, name), uid, gid);
  chmodSync(data, 0o700);
  const port = await findFreePort();
  const settings = join(data, "postgresql.conf");
  writeFileSync(settings, `${readFileSync(settings, "utf8")}\nport = ${port}\nunix_socket_directories = '${directory}'\n`);
  await server.start();
  const clone = new PostgresServer(15, directory, port);
  await clone.start();
  return clone;
}

for (const format of ["custom", "sqlite"]) {
  test(`D5 a clone of the server is not the server that is saved first: ${format}`, { timeout }, () =>
    withWorld(["shop"], async ({ server, bed, options }) => {
      await using clone = await openClone(server);
      add(clone, "shop", "note");
      const pg = options({ database: "shop", format, restoreConnection: { port: clone.port } });
      const backup = await bed.backup({ pg });
      await assertRefused(
        clone,
        bed.restore(backup, { pg }),
        /restoreConnection leads to shop.*would be lost/,
        /Name a database that does not exist yet/,
      );
      assert.equal(count(clone, "shop", "note"), "1000");
      // Another way to the same server is none.
      const pgBySocket = options({ database: "shop", format, restoreConnection: { host: server.socketDirectory } });
      add(server, "shop", "note");
      await bed.restore(backup, { pg: pgBySocket });
      assert.equal(count(server, "shop", "note"), "5");
    }),
  );
}

test("D5 a database that is made while its restore is being staged is not replaced unsaved", { timeout }, () =>
  withWorld(["shop"], async ({ server, bed, options }) => {
    const pg = options({ database: "shop" });
    const backup = await bed.backup({ pg });
    for (const at of ["counting", "swapping"]) {
      server.execute("DROP DATABASE shop");
      let made = false;
      const restoring = bed.restore(backup, { pg }, {}, ({ phase }) => {
        if (phase !== at || made) return;
        made = true;
        server.execute("CREATE DATABASE shop");
        fill(server, "shop", "orders");
      });
      await assertRefused(server, restoring, /(?:the database shop was made|"pg": .*shop) .*going on/, /Stop the program that makes it/);
      assert.equal(count(server, "shop", "orders"), "5", at);
    }
  }),
);

for (const [what, part] of [
  ["tables", { tables: ["note"] }],
  ["rows", { excludeTableData: ["note"] }],
  ["format sqlite", { format: "sqlite" }],
] as const) {
  test(`D5 an absence takes no database away of which only a part is backed up: ${what}`, { timeout }, () =>
    withWorld([], async ({ server, bed, options }) => {
      const pg = options({ database: "shop", optional: true, ...part });
      const backup = await bed.backup({ pg, other: options({ database: "postgres" }) });
      server.execute("CREATE DATABASE shop");
      fill(server, "shop", "note");
      const hint = /not there when this backup was made.*DROP DATABASE "shop"/;
      await assertRefused(server, bed.restore(backup, { pg }), /backs up only a part.*lost with shop/, hint);
      assert.equal(count(server, "shop", "note"), "5");
    }),
  );
}

test("D5 a Redis that restoreConnection leads to is replaced only where it is the one that is saved first", { timeout }, async () => {
  await using server = await openRedis();
  await using other = await openRedis();
  await using bed = await openRestoreBed("redis");
  server.call("SET", "old", "1");
  const backup = await bed.backup({ cache: server.options() });
  server.call("SET", "new", "1");
  other.call("SET", "precious", "1");
  const elsewhere = server.options({ method: "replication", rdbPath: other.rdb, restoreConnection: { socket: other.socket } });
  await assert.rejects(bed.restore(backup, { cache: elsewhere }), /not the one that is backed up: its data would be lost/);
  assert.equal(other.call("GET", "precious").trim(), "1");
  // An empty one loses nothing, and another way to the same server is none.
  other.call("DEL", "precious");
  await bed.restore(backup, { cache: elsewhere });
  assert.equal(other.call("GET", "old").trim(), "1");
  await bed.restore(backup, { cache: server.options({ restoreConnection: { host: "127.0.0.1", port: server.port } }) });
  assert.equal(server.call("EXISTS", "new").trim(), "0");
});

test("D5 a file that the datastore names no longer is not replaced unsaved", { timeout }, async () => {
  await using bed = await openRestoreBed("files");
  const base = mkdtempSync(join(tmpdir(), "loose-"));
  for (const name of ["a.env", "b.env"]) writeFileSync(join(base, name), "old");
  const backup = await bed.backup({ settings: { base, include: [`${base}/*.env`] } });
  writeFileSync(join(base, "b.env"), "precious");
  const now = { settings: { base, include: [`${base}/a.env`] } };
  await assert.rejects(bed.restore(backup, now), /b\.env would be replaced, and is not in the backup of what is there now/);
  assert.equal(readFileSync(join(base, "b.env"), "utf8"), "precious");
  assert.deepEqual(readdirSync(base).toSorted(), ["a.env", "b.env"]);
  rmSync(join(base, "b.env"));
  await bed.restore(backup, now);
  assert.equal(readFileSync(join(base, "b.env"), "utf8"), "old");
  rmSync(base, { recursive: true });
});

test("D5 what a tree leaves out is not replaced by what the backup has of it, nor removed with the tree", { timeout }, async () => {
  await using bed = await openRestoreBed("files");
  const parent = mkdtempSync(join(tmpdir(), "tree-"));
  const root = join(parent, "app");
  const [notes, log] = [join(root, "notes"), join(root, "logs/log")];
  const fillTree = (text: string): void => {
    mkdirSync(join(root, "logs"), { recursive: true });
    for (const path of [notes, log]) writeFileSync(path, text);
  };
  const other = { root: join(parent, "other") };
  mkdirSync(other.root);
  writeFileSync(join(other.root, "file"), "there");
  const absence = await bed.backup({ tree: { root, optional: true }, other });
  fillTree("old");
  const whole = await bed.backup({ tree: { root } });
  fillTree("precious");
  const tree = { root, optional: true, exclude: ["logs/log"] };
  await assert.rejects(bed.restore(whole, { tree }), /logs\/log would be replaced or removed \(the backup has it, too\)/);
  await assert.rejects(bed.restore(absence, { tree }), /logs\/log would be .* was not there when this backup was made/);
  for (const path of [notes, log]) assert.equal(readFileSync(path, "utf8"), "precious");
  // What the backup has not survives.
  const part = await bed.backup({ tree });
  fillTree("later");
  await bed.restore(part, { tree });
  assert.deepEqual([readFileSync(notes, "utf8"), readFileSync(log, "utf8")], ["precious", "later"]);
  assert.deepEqual(readdirSync(parent).toSorted(), ["app", "other"]);
  rmSync(parent, { recursive: true });
});
