import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { makeSite } from "../support/example-config.ts";
import { majors, openPostgres, superuserPassword, type PostgresServer } from "../support/postgres.ts";

for (const major of majors) {
  describe(`PostgreSQL ${major} in the whole program`, () => {
    const resources = new AsyncDisposableStack();
    let server: PostgresServer;
    let installation: Installation;
    let backups: string;

    before(async () => {
      const { dir } = resources.use(await makeSite());
      backups = join(dir, "backups");
      server = resources.use(await openPostgres(major));
      server.execute("create role app login; create database aidungeon owner app");
      server.execute(
        `set role app; create table "Users" (id int primary key, name text); insert into "Users" select n, 'user ' || n from generate_series(1, 5000) n;
         create table "ApplicationLogs" (line text); insert into "ApplicationLogs" values ('x'); select lo_from_bytea(0, 'large')`,
        "aidungeon",
      );
      const job = (datastore: string, name: string, more = ""): string =>
        `  ${datastore}: { datastores: [${datastore}], destination: local, layout: file, retry: { attempts: 1 }, name: "${name}"${more} }\n`;
      const connection = `kind: postgresql, host: 127.0.0.1, port: ${server.port}, user: postgres, password: { env: PASSWORD }, database: aidungeon, waitFor: 0s`;
      installation = resources.use(
        await createInstallation({
          dir,
          init: ["local"],
          env: { PASSWORD: superuserPassword, PATH: process.env["PATH"] ?? "" },
          config: `destinations:
  local: { kind: local, path: ${backups} }
datastores:
  database: { ${connection}, dumpCompression: { level: 6 } }
  sql: { ${connection}, format: plain, excludeTables: [ApplicationLogs] }
  schema: { ${connection}, format: plain, schemaOnly: true }
  data: { ${connection}, format: plain, dataOnly: true }
  users: { ${connection}, format: plain, tables: [Users] }
  everything: { ${connection.replace("database: aidungeon, ", "")}, format: cluster, entry: postgresql_backup.sql }
  parallel: { ${connection}, format: directory }
jobs:
${job("database", "aidungeon_{YYYYMMDD}_{HHmmss}", ", compression: none")}${job("sql", "aidungeon_{YYYYMMDD}_{HHmmss}", ", compression: gzip")}${job("schema", "schema_{YYYYMMDD}", ", compression: none")}${job("data", "data_{YYYYMMDD}", ", compression: none")}${job("users", "users_{YYYYMMDD}", ", compression: none")}  whole: { datastores: [everything, parallel], destination: local, layout: archive, name: "whole_{YYYYMMDD}" }
`,
        }),
      );
      await installation.start();
    });
    after(() => resources.disposeAsync());

    /** Backs up and tells the visible name. */
    async function backUp(job: string): Promise<string> {
      return (await installation.json<{ details: { name: string } }>(["backup", job])).details.name;
    }

    /** State, journals, logs, manifests, backups. */
    function assertNoLeak(): void {
      const { stdout } = spawnSync("grep", ["-rlF", superuserPassword, installation.dir], { encoding: "utf8" });
      assert.equal(stdout, "", "no file of ours has the password");
    }

    const count = (): string => server.execute(`select count(*) from "Users"`, "aidungeon").trim();

    test("A18 the check finds server, tools and destination", async () => {
      const { status, stdout } = await installation.holdfast(["check"]);
      assert.equal(status, 0, stdout);
      assert.match(stdout, new RegExp(`PostgreSQL ${major}\\.\\S+, database aidungeon`));
    });

    test("F71 A2 A3 A4 names, and files that PostgreSQL's own tools read; a second run on one day overwrites nothing", async () => {
      const database = await backUp("database");
      assert.match(database, /^aidungeon_\d{8}_\d{6}\.backup$/);
      const list = execFileSync(join(server.binDir, "pg_restore"), ["--list", join(backups, "database", database)], { encoding: "utf8" });
      assert.match(list, /Format: CUSTOM/);
      assert.match(list, /Compression: (-?6|gzip)/);
      assert.match(list, /TABLE DATA public Users app/);
      assert.match(list, /BLOB/);
      const sql = await backUp("sql");
      assert.match(sql, /^aidungeon_\d{8}_\d{6}\.sql\.gz$/);
      const text = execFileSync("gzip", ["-dc", join(backups, "sql", sql)], { encoding: "utf8" });
      assert.match(text, /PostgreSQL database dump complete/);
      assert.doesNotMatch(text, /ApplicationLogs/);
      const schema = await backUp("schema");
      assert.match(schema, /^schema_\d{8}\.sql$/);
      assert.doesNotMatch(readFileSync(join(backups, "schema", schema), "utf8"), /^COPY /m);
      assert.match(await backUp("schema"), /^schema_\d{8}-2\.sql$/);
      assert.match(await backUp("data"), /^data_\d{8}\.sql$/);
      const users = await backUp("users");
      assert.match(users, /^users_\d{8}\.sql$/);
      assert.match(readFileSync(join(backups, "users", users), "utf8"), /^COPY public\."Users"/m);
      assertNoLeak();
    });

    test("A5 A8 E1 verified, drilled in a server of its own, restored to the last row, undone", async () => {
      const name = await backUp("database");
      assert.equal((await installation.holdfast(["verify", name])).status, 0);
      const drill = await installation.holdfast(["drill", name]);
      assert.equal(drill.status, 0, drill.stderr);
      server.execute(`delete from "Users" where id > 10; drop table "ApplicationLogs"`, "aidungeon");
      const restore = await installation.holdfast(["restore", name, "--yes"]);
      assert.equal(restore.status, 0, restore.stdout + restore.stderr);
      assert.equal(count(), "5000");
      assert.equal(server.execute("select pg_get_userbyid(datdba) from pg_database where datname = 'aidungeon'").trim(), "app");
      assert.equal(server.execute(`select tableowner from pg_tables where tablename = 'Users'`, "aidungeon").trim(), "app");
      const undo = await installation.holdfast(["undo", "--yes"]);
      assert.equal(undo.status, 0, undo.stdout + undo.stderr);
      assert.equal(count(), "10");
      await installation.holdfast(["restore", name, "--yes"]);
      assert.equal(count(), "5000");
      assertNoLeak();
    });

    test("W1 A17 a whole server and a dump by parallel jobs in one archive, drilled", async () => {
      const name = await backUp("whole");
      assert.match(execFileSync("tar", ["-tf", join(backups, "whole", name)], { encoding: "utf8" }), /postgresql_backup\.sql/);
      const drill = await installation.holdfast(["drill", name]);
      assert.equal(drill.status, 0, drill.stdout + drill.stderr);
    });

    test("F34 G1 a server that is stopped fails the run, publishes nothing and says what to do", async () => {
      const before = readdirSync(join(backups, "sql"));
      await server.stop();
      try {
        const { status, stderr } = await installation.holdfast(["backup", "sql"]);
        assert.notEqual(status, 0);
        assert.match(stderr, /Is the server running|starting or stopping/);
        assert.doesNotMatch(stderr, /sup3r/);
      } finally {
        await server.start();
      }
      assert.deepEqual(readdirSync(join(backups, "sql")), before);
    });
  });
}
