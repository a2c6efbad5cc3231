import assert from "node:assert/strict";
import { chownSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import Database from "better-sqlite3";
import { startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { openPostgres, superuserPassword, type PostgresServer } from "../support/postgres.ts";

const nobody = 65534;

const createConfig = (dir: string, port: number): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  portable:
    kind: postgresql
    host: 127.0.0.1
    port: ${port}
    user: postgres
    password: { file: ${dir}/password }
    database: prompts
    format: sqlite
    waitFor: 0s
jobs:
  export:
    datastores: [portable]
    destination: local
    layout: file
    name: "prompts_{YYYYMMDD}_{HHmmss}"
    fixedCopies: [{ datastore: portable, path: ${dir}/app/backup.db }]
    retry: { attempts: 1 }
`;

interface Row {
  readonly id: number;
  readonly name: string;
}

/** The steps follow one another on one installation. */
describe("PostgreSQL as one SQLite file for an application", { timeout: 600_000 }, () => {
  let server: PostgresServer;
  let daemon: StartedDaemon;
  let copy = "";
  let first = "";
  const readCopy = (): readonly Row[] => {
    const database = new Database(copy, { readonly: true });
    try {
      return database.prepare<[], Row>('select id, name from "Users" order by id').all();
    } finally {
      database.close();
    }
  };
  const list = (): string => server.execute(`select id, name from "Users" order by id`, "prompts");

  before(async () => {
    server = await openPostgres(15);
    server.execute("create database prompts");
    server.execute(
      `create table "Users" (id int generated always as identity primary key, name text); insert into "Users" (name) values ('Ada'), ('Bea');
       create table prompt (id serial primary key, author int references "Users" (id), body text); insert into prompt (author, body) values (1, 'one'), (2, null)`,
      "prompts",
    );
    daemon = await startDaemon({
      config: (dir) => {
        writeFileSync(join(dir, "password"), superuserPassword, { mode: 0o600 });
        mkdirSync(join(dir, "app"));
        chownSync(join(dir, "app"), nobody, nobody);
        return createConfig(dir, server.port);
      },
      init: ["local"],
    });
    copy = join(daemon.dir, "app/backup.db");
  });

  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it("A1 one command writes a timestamped backup and replaces the application's file beside it", async () => {
    assert.match((await daemon.holdfast(["check"])).stdout, /copy of portable.*backup\.db can be replaced/);
    const { status, stdout, stderr } = await daemon.holdfast(["backup", "export"]);
    assert.equal(status, 0, stdout + stderr);
    first = (await daemon.json<readonly { readonly name: string }[]>(["list", "export"]))[0]?.name ?? "";
    assert.match(first, /^prompts_\d{8}_\d{6}\.db$/);
    assert.deepEqual(readCopy(), [
      { id: 1, name: "Ada" },
      { id: 2, name: "Bea" },
    ]);
    const { uid, gid, mode } = statSync(copy);
    assert.deepEqual([uid, gid, mode & 0o7777], [nobody, nobody, 0o640]);
    const { stdout: shown } = await daemon.holdfast(["show", first]);
    assert.match(shown, /rows\.public\.prompt|prompt/);
    assert.equal((await daemon.holdfast(["verify", first])).status, 0);
  });

  it("A1 a failed backup leaves the application's file, and a copy that cannot be written makes the run partial and is told", async () => {
    const before = readCopy();
    await server.stop();
    assert.equal((await daemon.holdfast(["backup", "export"])).status, 1);
    assert.deepEqual(readCopy(), before);
    await server.start();
    renameSync(join(daemon.dir, "app"), join(daemon.dir, "away"));
    const { status, stdout } = await daemon.holdfast(["backup", "export"]);
    assert.equal(status, 3, stdout);
    assert.match(
      stdout,
      /^partial: .*Cannot replace .*app\/backup\.db by "portable": the directory .*app is not there \(Make it: mkdir -p /m,
    );
    assert.match((await daemon.holdfast(["check"])).stdout, /copy of portable.*the directory .*app is not there/);
    renameSync(join(daemon.dir, "away"), join(daemon.dir, "app"));
    assert.deepEqual(readdirSync(join(daemon.dir, "app")), ["backup.db"]);
  });

  it("A7 one table, then all of them are taken back from it, and a restore is undone", async () => {
    const before = list();
    server.execute(`update "Users" set name = 'spoilt'; delete from prompt`, "prompts");
    const one = await daemon.holdfast(["restore", first, "--table", "prompt", "--yes"]);
    assert.equal(one.status, 0, one.stdout + one.stderr);
    assert.equal(server.execute("select count(*) from prompt", "prompts").trim(), "2");
    assert.match(list(), /spoilt/);
    const all = await daemon.holdfast(["restore", first, "--yes"]);
    assert.equal(all.status, 0, all.stdout + all.stderr);
    assert.equal(list(), before);
    assert.equal(server.execute(`insert into "Users" (name) values ('Cy') returning id`, "prompts").trim(), "3");
    const undone = await daemon.holdfast(["undo", "--yes"]);
    assert.equal(undone.status, 0, undone.stdout + undone.stderr);
    assert.match(list(), /spoilt/);
    assert.equal(server.execute("select count(*) from pg_namespace where nspname like 'holdfast%'", "prompts").trim(), "0");
  });

  it("A1 G6 a drill reads the file to its end, and it can be taken out of the backup as it is", async () => {
    const place = join(daemon.dir, "taken");
    const taken = await daemon.holdfast(["restore", "--offline", join(daemon.dir, "backups/export", first), "--to", place, "--yes"]);
    assert.equal(taken.status, 0, taken.stdout + taken.stderr);
    assert.deepEqual(readdirSync(place, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".db")).length, 1);
    const drill = await daemon.holdfast(["drill", first]);
    assert.equal(drill.status, 0, drill.stdout + drill.stderr);
    rmSync(place, { recursive: true });
  });
});
