import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createInstallation, type Installation, type RunningDaemon } from "../support/daemon.ts";
import { makeSite, readExample, substitute } from "../support/example-config.ts";
import { findFreePort } from "../support/free-port.ts";
import { openPostgres, superuserPassword, type PostgresServer } from "../support/postgres.ts";
import { fillPrompts, makePromptsApplication, type PromptsApplication } from "../support/prompts-site.ts";
import { querySqlite, runCommand } from "../support/run-command.ts";
import { waitForRuns } from "../support/wait-for-runs.ts";
import { waitUntil } from "../support/wait-until.ts";

const nobody = 65534;

/** The steps follow one another on one installation; every datastore is reached through the stand-in for the Docker client. */
describe("the example of AI Dungeon Prompts", { timeout: 600_000 }, () => {
  const resources = new AsyncDisposableStack();
  let dir: string;
  let backups: string;
  let config: string;
  let env: Readonly<Record<string, string>>;
  let server: PostgresServer;
  let application: PromptsApplication;
  let holdfast: Installation;
  let daemon: RunningDaemon;
  let whole = "";

  const copy = (): string => join(dir, "srv/data/backup.db");
  const read = (sql: string): string => server.execute(sql, "aidungeon").trim();
  const count = (table: string): string => read(`select count(*) from "${table}"`);
  const readMail = (): string => (existsSync(join(dir, "mail")) ? readFileSync(join(dir, "mail"), "utf8") : "");
  const stored = (job: string, name: string): string => join(backups, job, name);

  /** Backs up and tells the visible name. */
  async function backUp(job: string): Promise<string> {
    return (await holdfast.json<{ details: { name: string } }>(["backup", job])).details.name;
  }

  async function succeed(args: readonly string[], on = holdfast): Promise<string> {
    const { status, stdout, stderr } = await on.holdfast(args);
    assert.equal(status, 0, `${args.join(" ")}\n${stdout}${stderr}`);
    return stdout;
  }

  before(async () => {
    dir = resources.use(await makeSite()).dir;
    backups = join(dir, "srv/backups");
    for (const each of ["srv/data", "bin"]) mkdirSync(join(dir, each), { recursive: true });
    chownSync(join(dir, "srv/data"), nobody, nobody);
    server = resources.use(await openPostgres(15));
    fillPrompts(server);
    application = resources.use(await makePromptsApplication(dir, server, await findFreePort()));
    writeFileSync(join(dir, "bin/mail"), `#!/bin/sh\n{ printf '%s\\n' "$@"; cat; } >> ${dir}/mail\n`, { mode: 0o755 });
    config = await readExample("aidungeon", {
      replace: {
        "/srv/aidungeon": join(dir, "srv"),
        "/mnt/nas/aidungeon": join(dir, "nas"),
        "http://localhost:5000/health": application.health,
        '"app:app"': '"nobody:nogroup"',
      },
    });
    env = { PATH: `${dir}/bin:${process.env["PATH"] ?? ""}`, POSTGRES_PASSWORD: superuserPassword };
    holdfast = resources.use(await createInstallation({ dir, config, env, init: ["backups"] }));
    await application.start();
    daemon = await holdfast.start();
  });

  after(() => resources.disposeAsync());

  test("A18 W7 the check finds the server in its container, the copy's place and a backup directory that can be written to", async () => {
    const { status, stdout } = await holdfast.holdfast(["check"]);
    assert.equal(status, 0, stdout);
    assert.doesNotMatch(stdout, /nobody is told/);
    assert.match(stdout, /PostgreSQL 15\.\S+ in compose service postgres, database aidungeon/);
    assert.match(stdout, /backup\.db can be replaced/);
  });

  test("A1 G1 at daemon start the database becomes one SQLite file that its owner reads, replaced at once by the next", async () => {
    await waitForRuns(daemon, { kind: "backup", job: "portable" });
    const { uid, gid, mode, ino } = statSync(copy());
    assert.deepEqual([uid, gid, mode & 0o7777], [nobody, nobody, 0o640]);
    const asOwner = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "sqlite3", copy()];
    const sql = `pragma integrity_check; select count(*) from Users; select count(*) from Prompts; select "Settings" ->> 'lang', "Balance" from Users where "Id" = 7`;
    assert.equal((await runCommand([...asOwner, sql])).stdout, `ok\n${count("Users")}\n${count("Prompts")}\nde|7.500000\n`);
    const held = execFileSync(
      "sh",
      [
        "-c",
        `exec 3< "$1"; "$2" --config "$3" backup portable >/dev/null; sha256sum <&3; sha256sum < "$1"`,
        "sh",
        copy(),
        "scripts/holdfast",
        holdfast.configPath,
      ],
      {
        env: { ...process.env, ...holdfast.env },
        cwd: join(import.meta.dirname, "../.."),
        encoding: "utf8",
      },
    ).split("\n");
    assert.notEqual(held[0], held[1], "who has the old one open reads the old one to its end");
    assert.notEqual(statSync(copy()).ino, ino);
    assert.deepEqual(readdirSync(join(dir, "srv/data")), ["backup.db"]);
    assert.equal((await holdfast.json<readonly unknown[]>(["list", "portable"])).length, 2, "beside its timestamped backups");
  });

  test("A2 A8 a dump for pg_restore, with large objects, packed by zstd; one packed by pg_dump itself", async () => {
    whole = await backUp("aidungeon");
    assert.match(whole, /^aidungeon_\d{8}_\d{6}\.backup\.zst$/);
    const plain = join(dir, "whole.backup");
    await runCommand(["zstd", "-q", "-d", stored("aidungeon", whole), "-o", plain]);
    const list = server.run("pg_restore", ["--list", plain]);
    for (const each of [/TABLE DATA public Users app/, /TABLE DATA public ApplicationLogs app/, /BLOBS/, /FK CONSTRAINT public Prompts/])
      assert.match(list, each);
    const packed = await backUp("plain-backup");
    assert.match(packed, /^aidungeon_\d{8}_\d{6}\.backup$/);
    assert.match(server.run("pg_restore", ["--list", stored("plain-backup", packed)]), /Compression: (6|gzip)/);
  });

  test("A3 A4 plain SQL, gzipped, without the log's rows: gunzip and psql load it", async () => {
    const name = await backUp("sql");
    assert.match(name, /^aidungeon_\d{8}_\d{6}\.sql\.gz$/);
    const sql = (await runCommand(["gunzip", "-c", stored("sql", name)])).stdout;
    server.execute("create database loaded");
    server.run("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"], { database: "loaded", input: sql });
    const counts = `select (select count(*) from "Users"), (select count(*) from "Prompts")`;
    assert.equal(server.execute(counts, "loaded"), server.execute(counts, "aidungeon"));
    assert.equal(server.execute(`select count(*) from "ApplicationLogs"`, "loaded").trim(), "0");
    server.execute("drop database loaded");
  });

  test("A4 names without a time: the second of a day does not take the first one's", async () => {
    const first = await backUp("schema");
    assert.match(first, /^schema_\d{8}\.sql$/);
    const text = readFileSync(stored("schema", first), "utf8");
    assert.match(text, /CREATE TABLE public\."Users"/);
    assert.doesNotMatch(text, /^COPY /m);
    assert.equal(await backUp("schema"), first.replace(".sql", "-2.sql"));
    assert.equal(readFileSync(stored("schema", first), "utf8"), text);
    const users = await backUp("users");
    assert.match(users, /^users_\d{8}\.sql$/);
    assert.deepEqual(readFileSync(stored("users", users), "utf8").match(/^COPY .*(?= \()/gm), ['COPY public."Users"']);
  });

  test("A8 a dump that is cut off is refused, and nothing has been touched", async () => {
    const path = stored("aidungeon", whole);
    await copyFile(path, join(dir, "kept"));
    truncateSync(path, statSync(path).size - 100);
    const before = application.calls().length;
    const refused = await holdfast.holdfast(["restore", whole, "--yes"]);
    assert.equal(refused.status, 6, refused.stderr);
    assert.ok(
      !application
        .calls()
        .slice(before)
        .some((call) => call.includes("stop")),
      "the application went on",
    );
    assert.equal((await holdfast.holdfast(["verify", whole])).status, 6);
    await copyFile(join(dir, "kept"), path);
    await succeed(["verify", whole]);
  });

  test("A6 one table comes back, and the rest is as it is now", async () => {
    server.execute(`update "Users" set "Name" = 'spoilt ' || "Id"; update "Prompts" set "Body" = 'newer' where "Id" = 1`, "aidungeon");
    await succeed(["restore", whole, "--table", "Users", "--yes"]);
    assert.equal(read(`select min("Name"), count(*) from "Users"`), "user 1|200");
    assert.equal(read(`select "Body" from "Prompts" where "Id" = 1`), "newer");
    assert.ok(await application.isHealthy());
  });

  test("A7 rows come back from the SQLite file, one table of it", async () => {
    server.execute(`delete from "Prompts"; update "Users" set "Name" = 'changed' where "Id" = 3`, "aidungeon");
    await succeed(["restore", "latest", "--job", "portable", "--table", "Prompts", "--yes"]);
    assert.equal(count("Prompts"), await querySqlite(copy(), "select count(*) from Prompts"));
    assert.equal(read(`select "Name" from "Users" where "Id" = 3`), "changed");
    assert.equal(read(`insert into "Prompts" ("Author", "Body") values (1, 'next') returning "Id"`), "501", "the sequence goes on");
  });

  test("A5 D11 the whole database comes back with owner, grants and settings, and the application was down meanwhile", async () => {
    server.execute(
      `drop table "Prompts"; revoke select on "Users" from reader; select lo_unlink(oid) from pg_largeobject_metadata`,
      "aidungeon",
    );
    const from = application.calls().length;
    const { pid } = application;
    await succeed(["restore", whole, "--yes"]);
    const calls = application.calls().slice(from);
    const [stopped, started] = ["compose stop web", "compose up -d web"].map((call) => calls.indexOf(call));
    assert.ok(stopped !== undefined && started !== undefined && stopped >= 0 && started > stopped, calls.join("\n"));
    assert.notEqual(application.pid, pid);
    assert.ok(await application.isHealthy());
    const facts = `select pg_get_userbyid(datdba), has_database_privilege('reader', 'aidungeon', 'connect'), has_database_privilege('public', 'aidungeon', 'connect'),
      has_table_privilege('reader', '"Users"', 'select'), has_table_privilege('reader', '"Prompts"', 'select'), current_setting('work_mem'),
      (select tableowner from pg_tables where tablename = 'Prompts'), (select count(*) from pg_largeobject_metadata)
      from pg_database where datname = 'aidungeon'`;
    assert.equal(read(facts), "app|t|f|t|f|5MB|app|1");
    assert.equal(read(`select "Body", "Tags"->>0, "At" = '2024-02-29 12:34:56.789012+02' from "Prompts" where "Id" = 2`), "prompt 2|a|t");
    assert.equal(count("Prompts"), "500");
  });

  test("A12 a mail on failure by any program, and on success where it is wanted", async () => {
    server.execute(`alter table "Users" rename to "Away"`, "aidungeon");
    assert.equal((await holdfast.holdfast(["backup", "users"])).status, 1);
    server.execute(`alter table "Away" rename to "Users"`, "aidungeon");
    await waitUntil("the mail", () => /^AI Dungeon: backup of job "users" failed$/m.test(readMail()));
    assert.match(readMail(), /^Cannot dump "users": .*Users/m);
    await holdfast.writeConfig(substitute(config, "low-space, recovery]", "low-space, recovery, success]"));
    await succeed(["reload"]);
    await succeed(["backup", "schema"]);
    await waitUntil("the mail", () => /^AI Dungeon: backup of job "schema" done$/m.test(readMail()));
    await holdfast.writeConfig(config);
    await succeed(["reload"]);
  });

  test("A14 G6 on a fresh machine one command: the database made again, loaded, asked, the application up and healthy", async () => {
    await daemon.stop();
    await application.stop();
    server.execute(`drop database aidungeon`);
    const fresh = join(dir, "fresh");
    mkdirSync(fresh);
    await using machine = await createInstallation({ dir: fresh, config, env });
    await using _daemon = await machine.start();
    const from = application.calls().length;
    const said = await succeed(["restore", "latest", "--job", "aidungeon", "--yes"], machine);
    assert.match(said, new RegExp(`^ok: database restored from ${whole}`));
    const calls = application.calls().slice(from);
    assert.ok(
      calls.some((call) => call.includes('SELECT 1 / count(*) FROM "Users"')),
      "the operator's own query",
    );
    assert.ok(await application.isHealthy());
    assert.equal(read("select pg_get_userbyid(datdba) from pg_database where datname = 'aidungeon'"), "app");
    assert.equal(count("Users"), "200");
  });

  test("A17 level, parallel dump and left-out tables", async () => {
    const place = join(dir, "a17");
    mkdirSync(place);
    const text = `destinations:
  local: { kind: local, path: ${place}/backups }
datastores:
  database:
    { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, database: aidungeon, format: directory, jobs: 3,
      dumpCompression: { level: 9 }, excludeTableData: [ApplicationLogs], excludeTables: ["Prom*"] }
jobs:
  nightly: { datastores: [database], destination: local, compression: none, schedule: "30 4 * * *" }
`;
    await using slow = await createInstallation({ dir: place, config: text, env, init: ["local"] });
    await using _daemon = await slow.start();
    const { details } = await slow.json<{ details: { name: string } }>(["backup", "nightly"]);
    const made = readdirSync(join(place, "backups/nightly", details.name), { recursive: true, encoding: "utf8" });
    const packed = made.find((name) => name.endsWith(".tar")) ?? assert.fail(made.join("\n"));
    const to = join(place, "unpacked");
    mkdirSync(to);
    await runCommand(["tar", "-xf", join(place, "backups/nightly", details.name, packed), "-C", to]);
    const toc = readdirSync(to, { recursive: true, encoding: "utf8" }).find((name) => name.endsWith("toc.dat")) ?? assert.fail();
    const list = server.run("pg_restore", ["--list", join(to, toc, "..")]);
    assert.match(list, /Compression: 9|Compression: gzip/);
    assert.match(list, /TABLE public ApplicationLogs/);
    assert.match(list, /TABLE DATA public Users/);
    assert.doesNotMatch(list, /TABLE DATA public ApplicationLogs|TABLE public Prompts/);
  });

  test("A18 a backup directory that cannot be written to is found by the check, and by the daemon before the first run", async () => {
    await using mounts = new AsyncDisposableStack();
    await runCommand(["mount", "--bind", backups, backups]);
    mounts.defer(async () => void (await runCommand(["umount", "-l", backups])));
    await runCommand(["mount", "-o", "remount,bind,ro", backups]);
    const { status, stdout } = await holdfast.holdfast(["check"]);
    assert.equal(status, 1);
    assert.match(stdout, new RegExp(`^.*${backups}.*(read-only|written).*$`, "im"));
    await using started = await holdfast.start();
    const said = started.log();
    assert.match(said, new RegExp(`${backups}.*(read-only|written)`, "i"));
    assert.ok(said.indexOf(backups) < said.indexOf("Ready"), "before the first run");
  });

  test("F71 the password is in no file of ours and in no message", async () => {
    renameSync(holdfast.configPath, join(dir, "config-away"));
    const { stdout } = await runCommand(["grep", "-rlF", superuserPassword, join(dir, "state"), backups, join(dir, "docker-calls")], {
      accept: [1],
    });
    assert.equal(stdout, "");
    assert.ok(!daemon.log().includes(superuserPassword));
  });
});
