import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import Database from "better-sqlite3";
import { each, makeContext, makeTestDirectory, quiet, storeEntry } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { typesSql } from "../../../test/support/postgres-types.ts";
import type { DumpFacts, StoredEntry } from "../contract.ts";
import { postgresqlOptions } from "./options.ts";
import { withSqliteCheck } from "./sqlite-check.ts";
import { dumpSqlite } from "./sqlite-dump.ts";

interface Exported {
  readonly entry: StoredEntry;
  readonly bytes: Buffer;
  readonly facts: DumpFacts;
  /** Where the file lies for the test to open. */
  readonly path: string;
}

async function exportAll(
  t: TestContext,
  options: Readonly<Record<string, unknown>>,
  signal = quiet,
  onExport: () => void = () => undefined,
): Promise<Exported> {
  const directory = makeTestDirectory(t);
  const context = makeContext(directory, { progress: ({ phase }) => phase === "export" && onExport() });
  const dump = dumpSqlite(postgresqlOptions.parse(options), context, signal);
  const first = await dump.next();
  assert.ok(first.done !== true && first.value.body.kind === "file");
  const bytes = readFileSync(first.value.body.path);
  const { body: _, finish, ...entry } = first.value;
  assert.deepEqual(await finish(), []);
  const last = await dump.next();
  assert.equal(last.done, true);
  assert.deepEqual(readdirSync(context.stagingDir), []);
  const path = join(directory, "copy.db");
  writeFileSync(path, bytes);
  return { entry: storeEntry(entry, bytes), bytes, facts: last.value, path };
}

function open(t: TestContext, path: string): Database.Database {
  const database = new Database(path, { readonly: true });
  t.after(() => database.close());
  return database;
}

for (const major of majors)
  describe(`PostgreSQL ${major} as a SQLite file`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await openPostgres(major);
      server.execute("create database prompts");
      server.execute(typesSql, "prompts");
    });
    after(async () => await server[Symbol.asyncDispose]());

    test("A1 every table is in the file, with the rows that the server counts, and its check finds the same", async (t) => {
      const { entry, facts, path } = await exportAll(t, server.options({ database: "prompts" }));
      assert.equal(entry.name, "prompts.db");
      const database = open(t, path);
      assert.equal(database.pragma("integrity_check", { simple: true }), "ok");
      assert.deepEqual(database.pragma("foreign_key_check"), []);
      const counts = facts.contents?.counts ?? {};
      assert.equal(counts["rows.public.posts"], 1000);
      assert.equal(counts["rows.public.events_2024"], 2);
      assert.equal(counts["rows.public.parent"], 1);
      assert.equal(counts['rows."Odd.Schema"."ta""ble.x"'], 2);
      for (const [key, rows] of Object.entries(counts)) {
        if (key.includes('"')) continue;
        const table = key.slice("rows.public.".length);
        assert.equal(Number(server.execute(`select count(*) from only public."${table}"`, "prompts")), rows, table);
      }
      const check = withSqliteCheck(() => Promise.reject(new Error("not asked")));
      const checked = await check(each([entry]), makeContext(makeTestDirectory(t)), quiet);
      assert.deepEqual(checked.contents, facts.contents);
    });

    test("A1 values keep their types as well as SQLite can, and names that differ by case only are told apart", async (t) => {
      const { path } = await exportAll(t, server.socketOptions({ database: "prompts", runAs: "postgres" }));
      const database = open(t, path);
      database.defaultSafeIntegers(true);
      const row = database.prepare('select *, typeof(v) as "type of v", typeof(b) as "type of b" from everything where id = ?');
      const first = row.get(1) as Record<string, unknown>;
      assert.equal(first["big"], 9223372036854775807n);
      assert.equal(first["exact"], "12345678901234567890.123456789012345678900");
      assert.equal(first["d"], 0.1);
      assert.equal(first["yes"], 1n);
      assert.equal(first["t"], "tab\there\nnew\\line\r\b\f\v");
      assert.deepEqual(first["b"], Buffer.from([0, 0xff, 0x5c, 0x6e, 0x0a]));
      assert.equal(first["stamp_tz"], "2024-02-29 11:34:56.789012+00");
      assert.equal(first["span"], "P1Y2M-3DT4H5M6.789S");
      assert.equal(first["j"], '{"a":  1, "a": 2}');
      assert.equal(first["texts"], String.raw`{"a,b","NULL",NULL,"","\"q\"","back\\slash","nl` + '\n"}');
      assert.equal(first["twice"], 4294967294n);
      assert.equal(first["Id_2"], 42n);
      const third = row.get(3) as Record<string, unknown>;
      assert.deepEqual([third["t"], third["v"], third["type of v"]], ["00123", "1e5", "text"]);
      assert.deepEqual(
        [third["r"], third["d"], third["stamp"], third["stamp_tz"]],
        ["Infinity", "-Infinity", "0044-03-15 00:00:00 BC", "-infinity"],
      );
      const second = row.get(2) as Record<string, unknown>;
      assert.deepEqual([second["t"], second["money_like"], second["d"], second["big"]], ["", null, "NaN", -9223372036854775808n]);
      assert.equal(database.prepare("select note from users_2").pluck().get(), 'not the same table as "Users"');
      assert.deepEqual(database.prepare("select * from events order by at").raw().all(), [
        ["2023-05-05", "a"],
        ["2024-05-05", "b"],
        ["2024-06-06", "c"],
      ]);
    });

    test("A1 keys, defaults and plain indexes are declared; what SQLite cannot hold is listed", async (t) => {
      const { path, facts } = await exportAll(t, server.options({ database: "prompts" }));
      const database = open(t, path);
      const sql = String(database.prepare("select group_concat(sql, ';') from sqlite_schema").pluck().get());
      assert.match(sql, /"id" INTEGER PRIMARY KEY NOT NULL/);
      assert.match(sql, /FOREIGN KEY \("author"\) REFERENCES "Users" \("id"\) ON DELETE CASCADE/);
      assert.match(sql, /"t" TEXT NOT NULL DEFAULT 'it''s'/);
      assert.match(sql, /UNIQUE \("a", "b"\)/);
      assert.match(sql, /CREATE INDEX "posts_author" ON "posts" \("author" DESC\)/);
      assert.doesNotMatch(sql, /posts_lower|posts_body/);
      const posts = JSON.parse(
        String(database.prepare("select value from holdfast_export where kind = 'table' and name = 'posts'").pluck().get()),
      ) as Record<string, unknown>;
      assert.deepEqual(posts["leftOut"], ["index posts_body", "index posts_lower"]);
      assert.deepEqual(database.prepare("select name from holdfast_export where kind = 'left out'").pluck().all(), ["public.totals"]);
      const loose = JSON.parse(
        String(database.prepare("select value from holdfast_export where name = 'public.loose'").pluck().get()),
      ) as unknown;
      assert.deepEqual(loose, { schema: "public", sequence: "loose", lastValue: "10", isCalled: true, owner: null });
      assert.deepEqual(
        facts.notes.map(({ code, level }) => [code, level]),
        [
          ["left-out", "info"],
          ["definitions-left-out", "info"],
        ],
      );
    });

    test("A4 chosen and excluded tables; a name that fits none is a failure", async (t) => {
      const chosen = await exportAll(
        t,
        server.options({ database: "prompts", tables: ["Users", "public.events"], excludeTables: ["events_2023"] }),
      );
      assert.deepEqual(Object.keys(chosen.facts.contents?.counts ?? {}).toSorted(), ["rows.public.Users", "rows.public.events_2024"]);
      const odd = await exportAll(t, server.options({ database: "prompts", schemas: ["Odd.Schema"], entry: "backup.db" }));
      assert.deepEqual(odd.facts.contents?.counts, { 'rows."Odd.Schema"."ta""ble.x"': 2 });
      assert.equal(odd.entry.name, "backup.db");
      await assert.rejects(exportAll(t, server.options({ database: "prompts", tables: ["USERS"] })), {
        code: "source-missing",
        message: /Cannot dump "member": no table fits/,
      });
    });

    test("F35 a locked table ends the export in time", async (t) => {
      server.execute("create table held (a int)", "prompts");
      t.after(() => server.execute("drop table held", "prompts"));
      await using _lock = await openLock(server, "held");
      const locked = server.options({ database: "prompts", lockTimeout: "200ms" });
      await assert.rejects(exportAll(t, locked), { code: "source-locked", retryable: true });
    });

    test("A1 F36 what is written meanwhile waits for nothing, and is in no table of the snapshot", async (t) => {
      server.execute("create table a_first (n int); create table z_last (n int); insert into a_first values (1)", "prompts");
      t.after(() => server.execute("drop table if exists a_first, z_last, made_later", "prompts"));
      let written = 0;
      const onExport = (): void => {
        written += 1;
        if (written > 1) return;
        server.execute(
          "set lock_timeout = '1s'; insert into a_first values (2); insert into z_last values (2); delete from users; create table made_later ()",
          "prompts",
        );
        server.execute("insert into users values (1, 'not the same table as \"Users\"')", "prompts");
      };
      const { facts } = await exportAll(t, server.options({ database: "prompts" }), quiet, onExport);
      assert.ok(written > 1);
      const counts = facts.contents?.counts ?? {};
      assert.deepEqual([counts["rows.public.a_first"], counts["rows.public.z_last"], counts["rows.public.users"]], [1, 0, 1]);
      assert.equal(counts["rows.public.made_later"], undefined);
    });

    test("F33 a role without rights, row security that hides rows, and a missing database are failures", async (t) => {
      server.execute("create role weak login password 'x'; create role reader login password 'x' in role pg_read_all_data");
      const weak = { user: "weak", password: "x", database: "prompts" };
      await assert.rejects(exportAll(t, server.options(weak)), { code: "source-unreadable" });
      const whole = await exportAll(t, server.options({ ...weak, user: "reader" }));
      assert.equal(whole.facts.contents?.counts["rows.public.posts"], 1000);
      server.execute("alter table posts enable row level security", "prompts");
      t.after(() => server.execute("alter table posts disable row level security", "prompts"));
      await assert.rejects(exportAll(t, server.options({ ...weak, user: "reader" })), { code: "source-unreadable", message: /posts/ });
      await assert.rejects(exportAll(t, server.options({ database: "gone" })), { code: "source-missing" });
      const dump = dumpSqlite(
        postgresqlOptions.parse(server.options({ database: "gone", optional: true })),
        makeContext(makeTestDirectory(t)),
        quiet,
      );
      const { value } = await dump.next();
      assert.equal((value as DumpFacts).absent, true);
    });

    test("F34 a server that stops and a request to stop end it, and leave no file", async (t) => {
      const directory = makeTestDirectory(t);
      const stop = new AbortController();
      const context = makeContext(directory, { progress: ({ phase }) => phase === "export" && stop.abort() });
      const dump = dumpSqlite(postgresqlOptions.parse(server.options({ database: "prompts" })), context, stop.signal);
      await assert.rejects(dump.next(), { code: "cancelled" });
      assert.deepEqual(readdirSync(context.stagingDir), []);
      const other = makeContext(directory, {
        progress: ({ phase }) =>
          phase === "export" && server.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'prompts'"),
      });
      await assert.rejects(dumpSqlite(postgresqlOptions.parse(server.options({ database: "prompts" })), other, quiet).next(), {
        code: "source-unreachable",
      });
      assert.deepEqual(readdirSync(other.stagingDir), []);
    });

    test("F14 a staging directory that is full is told as such, with its remedy", async (t) => {
      const stagingDir = makeTestDirectory(t);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=32k", "none", stagingDir]);
      try {
        const options = postgresqlOptions.parse(server.options({ database: "prompts" }));
        await assert.rejects(dumpSqlite(options, makeContext("/", { stagingDir }), quiet).next(), { code: "no-space", hint: /stagingDir/ });
        assert.deepEqual(readdirSync(stagingDir), []);
      } finally {
        execFileSync("umount", [stagingDir]);
      }
    });

    test("F1 a damaged, cut or foreign file is found by its check", async (t) => {
      const { entry, bytes } = await exportAll(t, server.options({ database: "prompts" }));
      const check = withSqliteCheck(() => Promise.reject(new Error("asked")));
      const run = async (changed: Buffer): Promise<unknown> =>
        await check(each([storeEntry(entry, changed)]), makeContext(makeTestDirectory(t)), quiet);
      await assert.rejects(run(bytes.subarray(0, bytes.length - 8192)), { code: "backup-damaged" });
      await assert.rejects(run(Buffer.from("PGDMP and so on, long enough")), /asked/);
      const path = join(makeTestDirectory(t), "changed.db");
      writeFileSync(path, bytes);
      const database = new Database(path);
      database.exec("delete from posts where id = 500");
      database.close();
      assert.ok(existsSync(path));
      await assert.rejects(run(readFileSync(path)), { code: "backup-damaged", message: /posts has 999 rows instead of 1000/ });
      const foreign = new Database(":memory:");
      foreign.exec("create table t (a)");
      await assert.rejects(run(foreign.serialize()), { code: "backup-damaged", message: /no table holdfast_export/ });
      foreign.close();
    });
  });

/** Another session that holds a table. */
async function openLock(server: PostgresServer, table: string): Promise<AsyncDisposable> {
  const { default: pg } = await import("pg");
  const { host, port, user, password } = server.options() as { host: string; port: number; user: string; password: string };
  const client = new pg.Client({ host, port, user, password, database: "prompts" });
  await client.connect();
  await client.query(`begin; lock table ${table} in access exclusive mode`);
  let open = true;
  return {
    async [Symbol.asyncDispose]() {
      if (open) await client.end();
      open = false;
    },
  };
}
