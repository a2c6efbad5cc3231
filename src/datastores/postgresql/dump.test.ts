import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { checkAll, dumpAll, listChildren, makeTestDirectory, readEntry } from "../../../test/support/datastore.ts";
import { majors, makeDockerStandIn, openPostgres, superuserPassword, type PostgresServer } from "../../../test/support/postgres.ts";
import { postgresqlDriver } from "./postgresql.ts";

const oddTable = `o"d'd \\ $x;\n-é .`;
const longTable = "-é".repeat(21);
const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

for (const major of majors) {
  describe(`PostgreSQL ${major} dumps`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await openPostgres(major);
      server.execute("create role owner; create database crm owner owner");
      server.execute(
        `create table "Users" (id int primary key, name text);
         insert into "Users" select n, E'na\\nme\\\\ ' || n from generate_series(1, 1000) n;
         create table users (id int); insert into users values (1), (2);
         create table "ApplicationLogs" (line text); insert into "ApplicationLogs" select 'x' from generate_series(1, 50);
         create schema "Odd.Schema"; create table "Odd.Schema".${quote(oddTable)} (x text);
         insert into "Odd.Schema".${quote(oddTable)} values ('\\.'), (null), (E'a\\nb');
         create table ${quote(longTable)} (x text); insert into ${quote(longTable)} values ('1');
         create table part (k int) partition by range (k);
         create table part_1 partition of part for values from (0) to (10); insert into part values (1), (2), (3);
         create function sly() returns text language sql as $f$ select 'COPY x FROM stdin; '';' $f$;
         create extension pgcrypto; create materialized view m as select count(*) from users;
         select lo_from_bytea(0, 'large'), lo_from_bytea(0, 'larger');`,
        "crm",
      );
    });
    after(() => server[Symbol.asyncDispose]());

    const rows = {
      "rows.public.Users": 1000,
      "rows.public.users": 2,
      "rows.public.ApplicationLogs": 50,
      [`rows."Odd.Schema".${quote(oddTable)}`]: 3,
      [`rows.public.${longTable}`]: 1,
      "rows.public.part_1": 3,
      largeObjects: 2,
    };

    /** Dumps one database and tells what a check has found in it. */
    async function dumpAndCount(directory: string, extra: Readonly<Record<string, unknown>>) {
      const { entries } = await dumpAll(postgresqlDriver, server.options({ database: "crm", ...extra }), directory);
      const { contents, notes } = await checkAll(postgresqlDriver, entries, directory);
      return { entries, contents, notes, counts: { ...contents.counts } };
    }

    const endings = { custom: "crm.backup", plain: "crm.sql", directory: "crm.tar" } as const;
    for (const format of ["custom", "plain", "directory"] as const) {
      test(`A2 A3 A8 F42 format ${format}: whole, read to its end, rows counted by name`, async (t) => {
        const children = listChildren();
        const { entries, contents, notes, counts } = await dumpAndCount(makeTestDirectory(t), { format });
        assert.deepEqual(
          entries.map(({ name, form }) => [name, form]),
          [[endings[format], format === "directory" ? "tree" : "file"]],
        );
        assert.equal(entries[0]?.sourcePath, `postgresql://postgres@127.0.0.1:${server.port}/crm`);
        assert.deepEqual(counts, rows);
        assert.deepEqual(notes, []);
        assert.equal(contents.facts["extensions"], `["pgcrypto"]`);
        assert.equal(String(contents.facts["serverVersion"]).startsWith(String(major)), true);
        assert.deepEqual(listChildren(), children);
      });
    }

    test("A2 A17 pg_dump's own compression by level, and by parallel jobs", async (t) => {
      const directory = makeTestDirectory(t);
      const plain = await dumpAndCount(directory, {});
      for (const format of ["custom", "directory"] as const) {
        const packed = await dumpAndCount(directory, { format, jobs: 3, dumpCompression: { level: 9 } });
        assert.deepEqual(packed.contents.counts, plain.contents.counts);
        assert.deepEqual(packed.contents.digests, plain.contents.digests);
      }
      const [one, nine] = [plain, await dumpAndCount(directory, { dumpCompression: { level: 9 } })].map(
        ({ entries }) => entries[0]?.bytes ?? 0,
      );
      assert.ok((nine ?? 0) < (one ?? 0));
    });

    test("A4 schema only, data only, chosen and excluded tables, in the case in which they are written", async (t) => {
      const directory = makeTestDirectory(t);
      const schema = await dumpAndCount(directory, { format: "plain", schemaOnly: true, entry: "schema.sql" });
      assert.equal(schema.entries[0]?.name, "schema.sql");
      assert.deepEqual([schema.counts["rows.public.Users"], schema.counts["largeObjects"]], [0, 0]);
      const data = await dumpAndCount(directory, { format: "plain", dataOnly: true });
      assert.deepEqual(data.counts, rows);
      assert.doesNotMatch(String(await readEntry(data.entries[0])), /CREATE TABLE/);
      const users = await dumpAndCount(directory, { tables: ["Users"] });
      assert.deepEqual(users.counts, { "rows.public.Users": 1000, largeObjects: 0 });
      const odd = await dumpAndCount(directory, { tables: [`"Odd.Schema".${quote(oddTable)}`] });
      assert.deepEqual(odd.counts, { [`rows."Odd.Schema".${quote(oddTable)}`]: 3, largeObjects: 0 });
      const less = await dumpAndCount(directory, {
        excludeTables: ["ApplicationLogs"],
        excludeSchemas: ['"Odd.Schema"'],
        largeObjects: false,
      });
      assert.deepEqual(
        Object.keys(less.counts).toSorted(),
        ["largeObjects", `rows.public.${longTable}`, "rows.public.Users", "rows.public.part_1", "rows.public.users"].toSorted(),
      );
      const empty = await dumpAndCount(directory, { excludeTableData: ["App*"] });
      assert.deepEqual(empty.counts, { ...rows, "rows.public.ApplicationLogs": 0 });
    });

    test("A4 a table that is asked for and is not there is a failure", async (t) => {
      const dump = dumpAndCount(makeTestDirectory(t), { tables: ["Users", "Userz"] });
      await assert.rejects(dump, { message: /^Cannot dump "member": pg_dump exited with 1: .*no matching tables were found/ });
    });

    test("W7 pg_dump runs in a container; its password stands in no argument list", async (t) => {
      const { log } = makeDockerStandIn(t, server, "db");
      const directory = makeTestDirectory(t);
      for (const via of [{ dockerCompose: "db", file: "/srv/compose.yml" }, { docker: "db" }]) {
        const { entries } = await dumpAll(
          postgresqlDriver,
          { user: "postgres", password: superuserPassword, database: "crm", via, waitFor: "0s" },
          directory,
        );
        const { contents } = await checkAll(postgresqlDriver, entries, directory);
        assert.deepEqual({ ...contents.counts }, rows);
      }
      const calls = readFileSync(log, "utf8");
      assert.match(calls, /\["compose","-f","\/srv\/compose.yml","exec","-T",.*"-e","PGPASSWORD",.*"db","pg_dump"/);
      assert.match(calls, /\["exec","-i",.*"db","pg_dump"/);
      assert.equal(calls.includes(superuserPassword), false);
    });

    test("W7 a container that is not there is a failure that names it", async (t) => {
      makeDockerStandIn(t, server, "db");
      const dump = dumpAll(
        postgresqlDriver,
        { user: "postgres", database: "crm", via: { docker: "gone" }, waitFor: "0s" },
        makeTestDirectory(t),
      );
      await assert.rejects(dump, { message: /^Cannot dump "member": .*No such container: gone/ });
    });

    test("peer authentication: the tools run as another account, every format", async (t) => {
      const directory = makeTestDirectory(t);
      for (const format of ["custom", "directory"] as const) {
        const { entries } = await dumpAll(
          postgresqlDriver,
          server.socketOptions({ runAs: "postgres", database: "crm", format }),
          directory,
        );
        const { contents } = await checkAll(postgresqlDriver, entries, directory);
        assert.deepEqual({ ...contents.counts }, rows);
      }
    });

    test("pg_read_all_data is enough, and limits of the role do not cut the dump", async (t) => {
      // Long enough for the question which connection this is, which comes before every setting.
      server.execute(
        `create role reader login password 'lesen' in role pg_read_all_data; alter role reader set statement_timeout = '250ms';
         alter role reader set idle_in_transaction_session_timeout = '1ms'; alter role reader set search_path = nowhere`,
      );
      const { counts } = await dumpAndCount(makeTestDirectory(t), { user: "reader", password: "lesen", largeObjects: false });
      assert.deepEqual(counts, { ...rows, largeObjects: 0 });
    });
  });
}
