import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test, type TestContext } from "node:test";
import Database from "better-sqlite3";
import { each, makeContext, makeTestDirectory, quiet, storeEntry } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { typesSql } from "../../../test/support/postgres-types.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import type { RestoreOptions, RestoreTarget, StoredEntry, SwapStep } from "../contract.ts";
import { openPostgresqlRestore } from "./restore.ts";
import { resolveAccess } from "./connection.ts";
import { postgresqlOptions } from "./options.ts";
import { openSession } from "./session.ts";
import { dumpSqlite } from "./sqlite-dump.ts";
import { openSqliteRestore } from "./sqlite-restore.ts";
import { replaceRows } from "./sqlite-swap.ts";
import { rollBackImport, settleImport } from "./sqlite-undo.ts";

async function exportEntry(t: TestContext, options: Readonly<Record<string, unknown>>): Promise<StoredEntry> {
  const dump = dumpSqlite(postgresqlOptions.parse(options), makeContext(makeTestDirectory(t)), quiet);
  const { value } = await dump.next();
  assert.ok(value !== undefined && "body" in value && value.body.kind === "file");
  const { body, finish, ...entry } = value;
  const bytes = readFileSync(body.path);
  await finish();
  await dump.next();
  return storeEntry(entry, bytes);
}

interface Hooks extends Partial<RestoreOptions> {
  readonly target?: RestoreTarget;
  readonly onStep?: () => void;
  readonly beforeSwap?: () => void;
}

/** Restores as the program does. */
async function restore(t: TestContext, options: Readonly<Record<string, unknown>>, entry: StoredEntry, hooks: Hooks = {}) {
  const { target = { kind: "original" }, onStep, beforeSwap, ...restoring } = hooks;
  const context = makeContext(makeTestDirectory(t));
  const steps: SwapStep[] = [];
  const parsed = postgresqlOptions.parse(options);
  await using session = await openSqliteRestore(parsed, target, { absent: false, ...restoring }, context, quiet);
  const facts = await session.inspect(quiet);
  const staged = await session.stage(each([entry]), quiet);
  beforeSwap?.();
  const record = (step: SwapStep): Promise<void> => {
    steps.push(JSON.parse(JSON.stringify(step)) as SwapStep);
    onStep?.();
    return Promise.resolve();
  };
  await session.swap(record, quiet);
  return { facts, staged, found: await session.summarize(quiet), steps, parsed };
}

/** All rows of all tables, and what is defined around them. */
function readAll(server: PostgresServer, database: string): string {
  const tables = server
    .execute(
      `select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'r' and nspname in ('public', 'Odd.Schema') order by 1`,
      database,
    )
    .trim()
    .split("\n");
  const rows = tables.map(
    (table) => `${table}\n${server.execute(`copy (select * from only ${table} t order by t::text) to stdout`, database)}`,
  );
  return rows.join("\n") + readDefinitions(server, database);
}

function readDefinitions(server: PostgresServer, database: string): string {
  return server.execute(
    `select conrelid::regclass, conname, pg_get_constraintdef(oid), conparentid <> 0, obj_description(oid, 'pg_constraint') from pg_constraint where conrelid <> 0 and contype <> 'n' order by 1, 2;
     select tgrelid::regclass, tgname, tgenabled from pg_trigger where not tgisinternal order by 1, 2;
     select ev_class::regclass, rulename, ev_enabled from pg_rewrite order by 1, 2;
     select relname, relforcerowsecurity from pg_class where relkind = 'r' and relforcerowsecurity;
     select nspname from pg_namespace where nspname !~ '^pg_toast' order by 1;
     select sequencename, last_value from pg_sequences order by 1`,
    database,
  );
}

const spoil = `
  alter table everything drop column if exists nothing;
  truncate everything, "Users", users, posts, log, only parent, child, events, attendance, "Odd.Schema"."ta""ble.x" restart identity cascade;
  insert into users values (77, 'later'); insert into events values ('2023-01-01', 'later');
  select setval('loose', 5000)`;

for (const major of majors)
  describe(`PostgreSQL ${major} from a SQLite file`, () => {
    let server: PostgresServer;
    let entry: StoredEntry;
    let data: string;
    const options = (extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> =>
      server.options({ database: "prompts", ...extra });

    before(async () => {
      server = await openPostgres(major);
    });
    after(async () => await server[Symbol.asyncDispose]());
    beforeEach(async (t) => {
      server.execute("drop database if exists prompts (force)");
      server.execute("create database prompts");
      server.execute(typesSql, "prompts");
      entry = await exportEntry(t as TestContext, options());
      data = readAll(server, "prompts");
    });

    for (const way of ["directly", "through psql"] as const)
      test(`A7 all tables come back ${way}, every value and sequence as it was, definitions untouched`, async (t) => {
        const through = way === "directly" ? options() : server.socketOptions({ database: "prompts", runAs: "postgres" });
        server.execute(spoil, "prompts");
        assert.notEqual(readAll(server, "prompts"), data);
        const { staged, found, steps, parsed } = await restore(t, through, entry);
        assert.deepEqual(staged.counts, found.counts);
        assert.equal(staged.counts["rows.public.posts"], 1000);
        await settleImport(steps, quiet, parsed);
        await settleImport(steps, quiet, parsed);
        assert.equal(readAll(server, "prompts"), data);
        assert.equal(server.execute("select nextval('loose')", "prompts").trim(), "15");
        assert.equal(server.execute("select nextval('unused')", "prompts").trim(), "-3");
        assert.equal(server.execute(`insert into "Users" (name) values ('next') returning id`, "prompts").trim(), "4");
      });

    test("A7 exporting again what was restored gives the same rows", async (t) => {
      const { steps, parsed } = await restore(t, options(), entry);
      await settleImport(steps, quiet, parsed);
      const again = await exportEntry(t, options());
      assert.deepEqual(await readTables(t, again), await readTables(t, entry));
    });

    test("A7 chosen tables alone: the rest keeps its rows and its sequences", async (t) => {
      server.execute(
        `update users set note = 'later'; delete from attendance; delete from events; insert into log (what) values ('later')`,
        "prompts",
      );
      const log = server.execute("select count(*) from log", "prompts");
      const { staged, steps, parsed } = await restore(t, options(), entry, { parts: ["users", "public.events"] });
      assert.deepEqual(Object.keys(staged.counts).toSorted(), ["rows.public.events_2023", "rows.public.events_2024", "rows.public.users"]);
      await settleImport(steps, quiet, parsed);
      assert.equal(server.execute("select count(*) from log", "prompts"), log);
      server.execute("delete from log where what = 'later'", "prompts");
      assert.equal(server.execute("select note from users", "prompts").trim(), 'not the same table as "Users"');
      assert.equal(server.execute("select count(*) from events", "prompts").trim(), "3");
      await assert.rejects(restore(t, options(), entry, { parts: ["USERS"] }), { code: "unknown-name", message: /no table "USERS"/ });
    });

    test("A7 a sequence that another table uses, too, is not set back", async (t) => {
      server.execute("create database shared");
      const sql =
        "create table a (id serial primary key); create table b (id int default nextval('a_id_seq') primary key); insert into a default values";
      server.execute(sql, "shared");
      const options = server.options({ database: "shared", format: "sqlite" });
      const entry = await exportEntry(t, options);
      server.execute("insert into b select from generate_series(1, 100)", "shared");
      const { steps, parsed } = await restore(t, options, entry, { parts: ["a"] });
      server.execute("insert into b default values", "shared");
      await rollBackImport(steps, quiet, parsed);
      server.execute("insert into b default values", "shared");
      server.execute("alter sequence a_id_seq restart; truncate b", "shared");
      await settleImport((await restore(t, options, entry, { parts: ["a"] })).steps, quiet, parsed);
      assert.equal(server.execute("insert into a default values returning id", "shared"), "2\n");
    });

    test("A7 a name that is a table's in one schema and a partitioned table's in another is refused; an export is told from a dump", async (t) => {
      server.execute("create database twice");
      server.execute(
        "create schema a; create table a.event (id int); create table event (id int) partition by range (id); create table event_1 partition of event for values from (0) to (9)",
        "twice",
      );
      const exported = server.options({ database: "twice", format: "sqlite" });
      const twice = await exportEntry(t, exported);
      const refusal = { code: "unknown-name", message: /several tables "event"/, hint: /a\.event.*public\.event|public\.event.*a\.event/ };
      await assert.rejects(restore(t, exported, twice, { parts: ["event"] }), refusal);
      await restore(t, exported, twice, { parts: ["public.event", "a.event"] });
      const parsed = postgresqlOptions.parse(server.options({ database: "twice", binDir: server.binDir }));
      await using session = await openPostgresqlRestore(
        parsed,
        { kind: "original" },
        { absent: false },
        makeContext(makeTestDirectory(t)),
        quiet,
      );
      await assert.rejects(async () => await session.stage(each([twice]), quiet), {
        code: "target-unsafe",
        message: /is a SQLite export/,
        hint: /format: sqlite/,
      });
    });

    test("A7 a table without a column that can be written comes back with as many rows as it had, and as many again when undone", async (t) => {
      server.execute("create table computed (one int generated always as (1) stored); insert into computed default values", "prompts");
      const one = await exportEntry(t, options());
      server.execute("insert into computed default values; insert into computed default values", "prompts");
      const count = (): string => server.execute("select count(*) from computed", "prompts").trim();
      const { steps, parsed, found } = await restore(t, options(), one, { parts: ["computed"] });
      assert.deepEqual([count(), found.counts["rows.public.computed"]], ["1", 1]);
      await rollBackImport(steps, quiet, parsed);
      assert.equal(count(), "3");
    });

    test("A7 rows that break a foreign key are refused with the reason, and nothing has changed", async (t) => {
      server.execute(
        `alter table "Users" drop constraint first_post; delete from posts; update "Users" set boss = null; delete from "Users" where id = 2`,
        "prompts",
      );
      server.execute(`insert into "Users" (id, name) values (50, 'new'); insert into posts values (2000, 50, 'of the new one')`, "prompts");
      const before = readAll(server, "prompts");
      await assert.rejects(restore(t, options(), entry, { parts: ["Users"] }), { code: "restore-failed", hint: /restore that table too/ });
      assert.equal(readAll(server, "prompts"), before);
    });

    test("A7 a table that is missing or has other columns is refused before anything is touched", async (t) => {
      server.execute(
        `alter table users rename note to remark; drop table empty_one; alter table log add must int not null default 1; alter table log alter must drop default`,
        "prompts",
      );
      await assert.rejects(restore(t, options(), entry), {
        code: "refused",
        message: /no table public\.empty_one; public\.log has a new column must that must have a value; public\.users has no column note/,
        hint: /migrations/,
      });
      server.execute("drop database prompts (force)");
      await assert.rejects(restore(t, options(), entry), { code: "refused", hint: /migrations/ });
    });

    test("A7 an undone restore brings the rows, sequences and definitions of before, as often as it is asked for", async (t) => {
      server.execute(spoil, "prompts");
      server.execute(
        "comment on constraint posts_author_fkey on posts is 'a ''comment'''; alter table users force row level security",
        "prompts",
      );
      const before = readAll(server, "prompts");
      const { steps, parsed } = await restore(t, options(), entry);
      assert.notEqual(readAll(server, "prompts"), before);
      await rollBackImport(steps, quiet, parsed);
      assert.equal(readAll(server, "prompts"), before);
      await rollBackImport(steps, quiet, parsed);
      await settleImport(steps, quiet, parsed);
      assert.equal(readAll(server, "prompts"), before);
      await assert.rejects(rollBackImport(steps, quiet, undefined), { code: "config-invalid" });
    });

    test("G6 a restore that ends before, or within, its transaction has changed nothing", async (t) => {
      const steps: SwapStep[] = [];
      const stop = new Error("stop");
      await assert.rejects(
        restore(t, options(), entry, {
          onStep: () => {
            throw stop;
          },
        }),
        stop,
      );
      assert.equal(readAll(server, "prompts"), data);
      const parsed = postgresqlOptions.parse(options());
      const context = makeContext(makeTestDirectory(t), {
        progress: ({ phase }) =>
          phase === "loading public.posts" &&
          server.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'prompts' and pid <> pg_backend_pid()"),
      });
      await using session = await openSqliteRestore(parsed, { kind: "original" }, { absent: false }, context, quiet);
      await session.stage(each([entry]), quiet);
      const record = (step: SwapStep): Promise<void> => {
        steps.push(step);
        return Promise.resolve();
      };
      await assert.rejects(session.swap(record, quiet), { code: "source-unreachable" });
      assert.equal(steps.length, 1);
      await rollBackImport(steps, quiet, parsed);
      assert.equal(readAll(server, "prompts"), data);
    });

    test("F1 a roll-back waits for the transaction of a program that died while the server was still at it", async () => {
      const parsed = postgresqlOptions.parse(options());
      const schema = "holdfast_undo_00ff00ff00";
      await using session = await openSession(await resolveAccess(parsed, "restore", quiet), { psql: "psql" }, quiet);
      const [entered, gate] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
      const fill = async (): Promise<void> => {
        entered.resolve(undefined);
        await gate.promise;
      };
      const tables = [{ schema: "public", table: "users", columns: ["id", "note"] }];
      const replacing = replaceRows(session, schema, { tables, sequences: [], fill, lockTimeoutMs: 30_000 });
      await entered.promise;
      const undoing = rollBackImport([{ op: "import", database: "prompts", schema }], quiet, parsed);
      const waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
      await waitUntil("a roll-back that waits", () => server.execute(waiting).trim() === "1");
      gate.resolve(undefined);
      await replacing;
      await undoing;
      assert.equal(readAll(server, "prompts"), data);
    });

    test("F33 a role that does not own the tables is refused with the remedy", async (t) => {
      server.execute("drop role if exists stranger; create role stranger login password 'x' in role pg_read_all_data, pg_write_all_data");
      const weak = { user: "stranger", password: "x" };
      await assert.rejects(restore(t, options({ restoreConnection: weak }), entry), {
        code: "restore-failed",
        hint: /owner of the tables/,
      });
      assert.equal(readAll(server, "prompts"), data);
    });

    test("A1 W13 into a directory, and for a drill, the file itself is put there and read to its end", async (t) => {
      for (const kind of ["directory", "scratch"] as const) {
        const path = join(makeTestDirectory(t), "place");
        mkdirSync(path);
        const { staged, found } = await restore(t, options(), entry, { target: { kind, path } });
        assert.deepEqual(staged, found);
        assert.deepEqual(readdirSync(path), ["prompts.db"]);
      }
      const dump = storeEntry({ ...entry, name: "prompts.backup" }, Buffer.from("PGDMP, which is another format"));
      await assert.rejects(restore(t, options(), dump), { code: "refused", hint: /format/ });
    });
  });

async function readTables(t: TestContext, entry: StoredEntry): Promise<unknown> {
  const path = join(makeTestDirectory(t), "read.db");
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry.open(quiet)) chunks.push(chunk);
  writeFileSync(path, Buffer.concat(chunks));
  const database = new Database(path, { readonly: true });
  try {
    const sql = "select name from sqlite_schema where type = 'table' and name <> 'holdfast_export' order by name";
    const names = database.prepare(sql).pluck().all().map(String);
    const read = (name: string): unknown =>
      database
        .prepare(`select * from "${name.replaceAll('"', '""')}" order by rowid`)
        .safeIntegers()
        .raw()
        .all();
    return names.map((name) => [name, read(name)]);
  } finally {
    database.close();
  }
}
