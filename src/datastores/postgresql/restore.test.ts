import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { checkAll, dumpAll, makeTestDirectory, quiet, restoreAll, type RestoreHooks } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import type { StoredEntry, SwapStep } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const odd = "Fäll $1 \"q\" 'a'";

/** A database that has what a swap could lose. */
function fill(server: PostgresServer, database = "shop"): void {
  const name = `"${database.replaceAll('"', '""')}"`;
  server.execute(`CREATE ROLE "own ""er" LOGIN; CREATE ROLE reader;`);
  server.execute(`CREATE DATABASE ${name} OWNER "own ""er" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' CONNECTION LIMIT 17`);
  server.execute(
    `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name} TO reader WITH GRANT OPTION;
     COMMENT ON DATABASE ${name} IS 'it''s ours';
     ALTER DATABASE ${name} SET work_mem TO '9MB'; ALTER DATABASE ${name} SET search_path TO "B c", public;
     ALTER ROLE reader IN DATABASE ${name} SET statement_timeout TO '7s';`,
  );
  server.execute(
    `CREATE SCHEMA "B c"; SET search_path TO public;
     CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status varchar(9) CHECK (status IN ('a', 'b')));
     CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customer, body text);
     CREATE TABLE "B c"."T.""x""" (v text);
     ALTER TABLE orders OWNER TO "own ""er";
     INSERT INTO customer (status) SELECT 'a' FROM generate_series(1, 300);
     INSERT INTO orders (customer, body) SELECT 1 + i % 300, repeat(md5(i::text), 20) FROM generate_series(1, 2000) i;
     INSERT INTO "B c"."T.""x""" VALUES (E'two\\nlines\\\\'), (NULL);
     SELECT lo_from_bytea(0, 'large'); GRANT SELECT ON orders TO reader;`,
    database,
  );
}

function describeDatabase(server: PostgresServer, database: string): string {
  return server.execute(
    `SELECT pg_get_userbyid(datdba), encoding, datcollate, datctype, datconnlimit, datallowconn, datistemplate, shobj_description(oid, 'pg_database'),
       (SELECT array_agg(x ORDER BY x) FROM (SELECT unnest(datacl)::text) u (x)),
       (SELECT array_agg((setrole::regrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
     FROM pg_database d WHERE datname = '${database.replaceAll("'", "''")}'`,
  );
}

function readRows(server: PostgresServer, database: string): string {
  return server.execute(
    `SELECT count(*), sum(hashtext(o::text)) FROM orders o; SELECT count(*) FROM customer; SELECT v FROM "B c"."T.""x""" ORDER BY 1; SELECT last_value FROM orders_id_seq;
     SELECT loid, data FROM pg_largeobject`,
    database,
  );
}

function listDatabases(server: PostgresServer): string {
  return server.execute("SELECT datname FROM pg_database ORDER BY 1");
}

function storeAll(t: TestContext): string {
  return makeTestDirectory(t);
}

/** Restores and compares, as operations do. */
async function restoreWhole(
  options: unknown,
  directory: string,
  entries: readonly StoredEntry[],
  hooks: RestoreHooks = {},
): Promise<readonly SwapStep[]> {
  const { contents } = await checkAll(driver, entries, directory);
  const known = entries.map((entry) => ({ ...entry, contents }));
  const { staged, found, steps } = await restoreAll(driver, options, directory, known, hooks);
  assert.deepEqual(compareContents(contents, staged), []);
  assert.deepEqual(compareContents(contents, found), []);
  return steps;
}

for (const major of majors) {
  for (const format of ["custom", "plain", "directory"] as const) {
    test(`A5 A14 PostgreSQL ${major} ${format}: a database comes back with its rows, owner, rights, settings, limit and comment; undone and settled`, async (t) => {
      const directory = storeAll(t);
      await using server = await openPostgres(major);
      fill(server, odd);
      const options = server.options({ database: odd, format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const [rows, properties] = [readRows(server, odd), describeDatabase(server, odd)];
      server.execute("DELETE FROM orders WHERE id > 10; UPDATE orders SET body = 'new'; CREATE TABLE later ()", odd);
      const changed = readRows(server, odd);
      const before = listDatabases(server);
      const steps = await restoreWhole(options, directory, entries);
      assert.equal(readRows(server, odd), rows);
      assert.equal(describeDatabase(server, odd), properties);
      assert.equal(server.execute("SELECT to_regclass('public.later')", odd), "\n");
      for (let look = 0; look < 2; look += 1) {
        await driver.rollBack(steps, quiet, options);
        assert.equal(readRows(server, odd), changed);
        assert.equal(describeDatabase(server, odd), properties);
        assert.equal(listDatabases(server), before);
      }
      const again = await restoreWhole(options, directory, entries);
      for (let look = 0; look < 2; look += 1) {
        await driver.settle(again, quiet, options);
        assert.equal(readRows(server, odd), rows);
        assert.equal(describeDatabase(server, odd), properties);
        assert.equal(listDatabases(server), before);
      }
    });

    test(`PostgreSQL ${major} ${format}: a drill loads a server of its own, and a directory gets the files`, async (t) => {
      const directory = storeAll(t);
      await using server = await openPostgres(major);
      fill(server);
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const derived = { ...(driver.deriveOptions(entries) as object), binDir: server.binDir };
      await server.stop();
      const path = join(directory, "drill");
      mkdirSync(path, { mode: 0o711 });
      await restoreWhole(derived, directory, entries, { target: { kind: "scratch", path } });
      assert.deepEqual(readdirSync(path), []);
      await restoreWhole(derived, directory, entries, { target: { kind: "directory", path } });
      assert.equal(readdirSync(path).length, 1);
    });
  }
}
