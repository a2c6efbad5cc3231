import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAll, dumpAll, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { isFailure } from "../../../test/support/postgres-restore.ts";
import { majors, openPostgres } from "../../../test/support/postgres.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

for (const major of majors) {
  test(`A4 PostgreSQL ${major}: a table's name means it in every schema and with its partitions, in every format`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    server.execute("CREATE DATABASE shop");
    server.execute(
      `CREATE SCHEMA app; CREATE TABLE orders (id serial); INSERT INTO orders DEFAULT VALUES; CREATE TABLE app.orders_paid (id int);
       INSERT INTO app.orders_paid VALUES (1), (2); CREATE TABLE other (id int); CREATE TABLE app."Log" (at int) PARTITION BY RANGE (at);
       CREATE TABLE app.part PARTITION OF app."Log" FOR VALUES FROM (0) TO (9); INSERT INTO app."Log" VALUES (1), (2), (3)`,
      "shop",
    );
    for (const format of ["custom", "plain", "directory", "sqlite"] as const) {
      const options = server.options({ database: "shop", format, tables: ["order*", "Log"], binDir: server.binDir });
      const { entries, facts } = await dumpAll(driver, options, directory);
      const contents = facts.contents ?? (await checkAll(driver, entries, directory)).contents;
      const rows = Object.entries(contents.counts).filter(([key]) => key.startsWith("rows."));
      assert.deepEqual(Object.fromEntries(rows), { "rows.public.orders": 1, "rows.app.orders_paid": 2, "rows.app.part": 3 }, format);
    }
    const missing = server.options({ database: "shop", tables: ["orders", "no_such"], binDir: server.binDir });
    await assert.rejects(dumpAll(driver, missing, directory), /no_such|no matching tables/);
  });

  test(`PostgreSQL ${major}: rows that refer to rows that are left out, and rows without tables, are told of by the backup and by check`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    server.execute("CREATE DATABASE shop");
    server.execute(
      `CREATE TABLE session (id int PRIMARY KEY, up int REFERENCES session); CREATE TABLE event (id int, s int REFERENCES session);
       INSERT INTO session VALUES (1); INSERT INTO event VALUES (1, 1)`,
      "shop",
    );
    const tell = async (extra: Readonly<Record<string, unknown>>): Promise<readonly string[]> => {
      const options = server.options({ database: "shop", binDir: server.binDir, ...extra });
      const { facts } = await dumpAll(driver, options, directory);
      await using datastore = await driver.configure(options).open(makeContext(directory));
      const { notes } = await datastore.probe(quiet);
      const told = facts.notes.filter(({ level }) => level === "warning").map(({ message }) => message);
      assert.ok(told.every((message) => notes.some((note) => note.message === message)));
      return told;
    };
    assert.match(
      (await tell({ excludeTableData: ["session"] })).join("\n"),
      /^Rows of public\.event refer to public\.session \(event_s_fkey\)[^\n]*$/,
    );
    assert.match((await tell({ excludeTables: ["session"] })).join("\n"), /^Rows of public\.event refer/);
    assert.deepEqual(await tell({ excludeTableData: ["session", "event"] }), []);
    assert.deepEqual(await tell({ excludeTableData: ["event"] }), []);
    assert.match((await tell({ dataOnly: true })).join("\n"), /restored by hand only/);
    const { entries } = await dumpAll(driver, server.options({ database: "shop", dataOnly: true, binDir: server.binDir }), directory);
    const whole = server.options({ database: "shop", binDir: server.binDir });
    await using datastore = await driver.configure(whole).open(makeContext(directory));
    await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts: ["event"] }, quiet);
    await assert.rejects(
      session.stage(
        (async function* () {
          yield* entries;
        })(),
        quiet,
      ),
      isFailure("unknown-name", /holds rows without definitions/, /--data-only/),
    );
  });

  test(`F42 PostgreSQL ${major}: databases whose long names begin alike, or that are called globals, come back`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    const names = [...["a", "b"].map((end) => `${"é".repeat(31)}${end}`), ...["a", "b"].map((end) => `${"x".repeat(41)}${end}`), "globals"];
    for (const name of names) {
      server.execute(`CREATE DATABASE ${name}`);
      server.execute(`CREATE TABLE note AS SELECT '${name}'::text AS name`, name);
    }
    const options = server.options({
      databases: ["é*", "x*", "globals"],
      format: "plain",
      globals: "with-passwords",
      binDir: server.binDir,
    });
    const { entries } = await dumpAll(driver, options, directory);
    assert.equal(new Set(entries.map(({ name }) => name)).size, names.length + 1);
    for (const name of names) server.execute("DELETE FROM note", name);
    const { steps } = await restoreAll(driver, options, directory, entries);
    await driver.rollBack(steps, quiet, options);
    for (const name of names) assert.equal(server.execute("SELECT count(*) FROM note", name), "0\n");
    const again = await restoreAll(driver, options, directory, entries);
    await driver.settle(again.steps, quiet, options);
    for (const name of names) assert.equal(server.execute("SELECT name FROM note", name), `${name}\n`);
    assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname ~ 'holdfast'"), "0\n");
  });

  test(`PostgreSQL ${major}: a database that is closed is not absent, although it is optional and meant by a pattern`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    server.execute("CREATE DATABASE shop");
    server.execute("ALTER DATABASE shop ALLOW_CONNECTIONS false");
    const options = server.options({ databases: ["shop*"], optional: true, binDir: server.binDir });
    await assert.rejects(
      dumpAll(driver, options, directory),
      isFailure("source-unreadable", /"shop" allows no connections/, /ALLOW_CONNECTIONS/),
    );
    server.execute("DROP DATABASE shop");
    assert.equal((await dumpAll(driver, options, directory)).facts.absent, true);
    // One whose removal was interrupted is no reason to save none of the others.
    server.execute("CREATE DATABASE half");
    server.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'");
    const { entries, facts } = await dumpAll(driver, server.options({ databases: "all", binDir: server.binDir }), directory);
    assert.deepEqual(
      entries.map(({ name }) => name),
      ["postgres.backup"],
    );
    assert.match(facts.notes.map(({ message }) => message).join("\n"), /"half" allows no connections, and is left out/);
  });
}
