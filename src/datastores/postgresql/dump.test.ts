import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findBinDir, majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { checkAll, dumpAll, listChildren, makeContext, makeTestDirectory, quiet, readEntry } from "../../../test/support/datastore.ts";
import { postgresqlDriver } from "./postgresql.ts";

const oddTable = `o"d'd \\ $x;\n-é .`;

for (const major of majors) {
  describe(`PostgreSQL ${major} dumps`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await openPostgres(major);
      server.execute("create role reader login password 'lesen'; grant pg_read_all_data to reader; create role owner");
      server.execute("create database crm owner owner");
      server.execute(
        `create table "Users" (id int primary key, name text);
         insert into "Users" select n, E'na\\nme\\\\ ' || n from generate_series(1, 1000) n;
         create table users (id int); insert into users values (1), (2);
         create table "ApplicationLogs" (line text); insert into "ApplicationLogs" select 'x' from generate_series(1, 50);
         create schema "Odd.Schema"; create table "Odd.Schema"."${oddTable.replaceAll('"', '""')}" (x text);
         insert into "Odd.Schema"."${oddTable.replaceAll('"', '""')}" values ('\\.'), (null), (E'a\\nb');
         create table part (k int) partition by range (k);
         create table part_1 partition of part for values from (0) to (10); insert into part values (1), (2), (3);
         create function sly() returns text language sql as $f$ select 'COPY x FROM stdin; '';' $f$;
         create extension pgcrypto; create materialized view m as select count(*) from users;
         select lo_from_bytea(0, 'large'), lo_from_bytea(0, 'larger');`,
        "crm",
      );
      server.execute(`create database "Web"`);
      server.execute("create table t (x int); insert into t values (1)", "Web");
      server.execute("create role old; create role gone login password 'hash'");
    });
    after(() => server[Symbol.asyncDispose]());

    const rows = {
      "rows.public.Users": 1000,
      "rows.public.users": 2,
      "rows.public.ApplicationLogs": 50,
      [`rows."Odd.Schema"."${oddTable.replaceAll('"', '""')}"`]: 3,
      "rows.public.part_1": 3,
      largeObjects: 2,
    };

    for (const format of ["custom", "plain", "directory"] as const) {
      test(`A2 A3 A8 F42 format ${format}: whole, read back, rows counted by name`, async (t) => {
        const directory = makeTestDirectory(t);
        const children = listChildren();
        const options = server.options({ database: "crm", format });
        const { entries, facts } = await dumpAll(postgresqlDriver, options, directory);
        assert.equal(entries.length, 1);
        assert.equal(entries[0]?.name, { custom: "crm.backup", plain: "crm.sql", directory: "crm.tar" }[format]);
        assert.equal(facts.checked, false);
        const { contents, notes } = await checkAll(postgresqlDriver, entries, directory);
        assert.deepEqual({ ...contents.counts }, rows);
        assert.deepEqual(notes, []);
        assert.equal(contents.facts["extensions"], `["pgcrypto"]`);
        assert.match(String(contents.facts["serverVersion"]), new RegExp(`^${major}`));
        assert.deepEqual(listChildren(), children);
      });
    }
  });
}
void [execFileSync, writeFileSync, join, findBinDir, makeContext, quiet, readEntry];
