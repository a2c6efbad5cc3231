import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAll, dumpAll, makeTestDirectory, readEntry } from "../../../test/support/datastore.ts";
import { openPostgres } from "../../../test/support/postgres.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const count = { shop: "rows.shop.public.note", crm: "rows.crm.public.note" } as const;

test("a snapshot of several databases and their roles: later rows, tables and roles are not in it, and TRUNCATE cannot empty it", async (t) => {
  await using server = await openPostgres(15);
  for (const name of ["shop", "crm"]) {
    server.execute(`CREATE DATABASE ${name}`);
    server.execute("CREATE TABLE note (id int); INSERT INTO note SELECT generate_series(1, 100)", name);
  }
  const directory = makeTestDirectory(t);
  const options = server.options({ databases: ["shop", "crm"], globals: "with-passwords", binDir: server.binDir });
  const afterSnapshot = async (): Promise<void> => {
    assert.throws(() => server.execute("SET lock_timeout = '200ms'; TRUNCATE note", "shop"), /lock timeout/);
    server.execute("INSERT INTO note VALUES (101); CREATE TABLE later (id int)", "shop");
    server.execute("DELETE FROM note; CREATE ROLE later", "crm");
  };
  const { entries } = await dumpAll(driver, options, directory, { afterSnapshot });
  const { contents } = await checkAll(driver, entries, directory);
  assert.deepEqual([contents.counts[count.shop], contents.counts[count.crm]], [100, 100]);
  assert.deepEqual(
    Object.keys(contents.counts).filter((name) => name.includes("later")),
    [],
  );
  const globals = entries.find(({ name }) => name === "globals.sql");
  assert.doesNotMatch((await readEntry(globals)).toString(), /CREATE ROLE later/);
  // Nothing stays behind on the server.
  assert.equal(server.execute("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"), "0\n");
  server.execute("TRUNCATE note", "shop");
});

test("a format that has no snapshot offers none", async (t) => {
  const { snapshot } = await driver
    .configure({ host: "nowhere", format: "cluster" })
    .open({ name: "all", stagingDir: makeTestDirectory(t), progress: () => undefined });
  assert.equal(snapshot, undefined);
});
