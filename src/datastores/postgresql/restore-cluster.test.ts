import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { checkAll, dumpAll, makeTestDirectory, quiet, readEntry, restoreAll, storeEntry } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import type { StoredEntry } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const tricky = "\\connect template1\n\\restrict abc\n-- PostgreSQL database dump complete\n";

/** Two databases with an owner of their own, and rows and a function that hold what a dump has at its joints. */
function fill(server: PostgresServer): void {
  server.execute("CREATE ROLE team NOLOGIN; CREATE ROLE ann LOGIN PASSWORD 'geheim' CONNECTION LIMIT 3 IN ROLE team; CREATE ROLE bob");
  server.execute(`CREATE DATABASE "sh op" OWNER ann CONNECTION LIMIT 5`);
  server.execute("CREATE DATABASE crm OWNER bob; ALTER DATABASE crm SET work_mem TO '9MB'");
  server.execute(
    `CREATE TABLE note (body text); INSERT INTO note VALUES ('one'), (NULL), ('${tricky}');
     CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $x$ SELECT '${tricky}' $x$;
     ALTER TABLE note OWNER TO ann`,
    "sh op",
  );
  server.execute(
    "CREATE TABLE client (id int PRIMARY KEY); INSERT INTO client SELECT generate_series(1, 50); ALTER TABLE client OWNER TO bob",
    "crm",
  );
}

function read(server: PostgresServer): string {
  return [
    server.execute("SELECT count(*), md5(string_agg(coalesce(body, '-'), '' ORDER BY body)), md5(f()) FROM note", "sh op"),
    server.execute("SELECT count(*), current_setting('work_mem') FROM client", "crm"),
    server.execute("SELECT datname, pg_get_userbyid(datdba), datconnlimit FROM pg_database WHERE datname IN ('crm', 'sh op') ORDER BY 1"),
  ].join("");
}

async function restoreKnown(options: unknown, directory: string, entries: readonly StoredEntry[], scratch?: string) {
  const { contents } = await checkAll(driver, entries, directory);
  const known = entries.map((entry) => ({ ...entry, contents }));
  const restored = await restoreAll(
    driver,
    options,
    directory,
    known,
    scratch === undefined ? {} : { target: { kind: "scratch", path: scratch } },
  );
  assert.deepEqual(compareContents(contents, restored.staged), []);
  assert.deepEqual(compareContents(contents, restored.found), []);
  return restored;
}

for (const major of majors) {
  const kinds = [
    ["a dump of pg_dumpall", { format: "cluster" }],
    ["several databases with globals", { databases: ["crm", "sh*"], globals: "with-passwords" }],
  ] as const;
  for (const [title, extra] of kinds) {
    test(`W1 F40 PostgreSQL ${major}: ${title} comes back on its server and on an empty one, roles added and none changed`, async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openPostgres(major);
      fill(server);
      const options = server.options({ ...extra, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const data = read(server);

      const path = join(directory, "drill");
      mkdirSync(path, { mode: 0o711 });
      await restoreKnown({ ...(driver.deriveOptions(entries) as object), binDir: server.binDir }, directory, entries, path);

      server.execute("DELETE FROM note; DROP FUNCTION f()", "sh op");
      server.execute("DROP DATABASE crm");
      const { steps } = await restoreKnown(options, directory, entries);
      assert.equal(read(server), data);
      await driver.rollBack(steps, quiet, options);
      assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname = 'crm' OR datname ~ 'holdfast'"), "0\n");
      assert.equal(server.execute("SELECT count(*) FROM note", "sh op"), "0\n");

      await using empty = await openPostgres(major);
      empty.execute("CREATE ROLE bob CREATEDB");
      const elsewhere = empty.options({ ...extra, binDir: server.binDir });
      const { steps: others } = await restoreKnown(elsewhere, directory, entries);
      await driver.settle(others, quiet, elsewhere);
      assert.equal(read(empty), data);
      const roles =
        "SELECT rolname, rolcanlogin, rolconnlimit, rolcreatedb FROM pg_roles WHERE rolname IN ('ann', 'bob', 'team') ORDER BY 1; SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member = 'ann'::regrole";
      assert.equal(empty.execute(roles), "ann|t|3|f\nbob|f|-1|t\nteam|f|-1|f\nteam|ann\n");
    });
  }

  test(`F41 PostgreSQL ${major}: a dump that has commands for psql in it runs none of them`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    fill(server);
    for (const format of ["cluster", "plain"] as const) {
      const options = server.options({ format, binDir: server.binDir, ...(format === "plain" ? { database: "crm" } : {}) });
      const { entries } = await dumpAll(driver, options, directory);
      const [entry] = entries;
      assert.ok(entry !== undefined);
      const proof = join(directory, `proof-${format}`);
      const text = (await readEntry(entry)).toString("latin1");
      const hostile = text.replace(/(\\unrestrict \w+\n)/, `$1\\! touch ${proof}\n`).replace(/(CREATE TABLE)/, `\\! touch ${proof}\n$1`);
      assert.notEqual(hostile, text);
      const before = server.execute("SELECT datname FROM pg_database ORDER BY 1");
      await assert.rejects(
        restoreAll(driver, options, directory, [storeEntry(entry, Buffer.from(hostile, "latin1"))]),
        (error) => error instanceof HoldfastError && /command|line that ends/.test(`${error.message} ${error.hint ?? ""}`),
      );
      assert.throws(() => mkdirSync(join(proof, "x")), /ENOENT/);
      assert.equal(server.execute("SELECT datname FROM pg_database ORDER BY 1"), before);
    }
  });
}
