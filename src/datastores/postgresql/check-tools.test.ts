import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAll, dumpAll, makeContext, makeTestDirectory } from "../../../test/support/datastore.ts";
import { openPostgres } from "../../../test/support/postgres.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

test("F37 A8 a dump is checked by the tools that the options name; without any, what to install is told", async (t) => {
  await using server = await openPostgres(18);
  server.execute("CREATE DATABASE shop");
  server.execute("CREATE TABLE note (id int); INSERT INTO note VALUES (1), (2)", "shop");
  const directory = makeTestDirectory(t);
  const options = server.options({ database: "shop", format: "directory" });
  const { entries } = await dumpAll(driver, options, directory);
  const before = process.env["PATH"];
  t.after(() => {
    process.env["PATH"] = before;
  });
  process.env["PATH"] = "/usr/bin:/bin";
  await assert.rejects(checkAll(driver, entries, directory), {
    code: "tool-missing",
    message: /^Cannot read "shop.tar" of "member": pg_restore 15\S* is too old for PostgreSQL 18/,
    hint: /postgresql-client-18/,
  });
  // As a backup does it: by the datastore that is open.
  await using _ = await driver.configure({ ...options, binDir: server.binDir }).open(makeContext(directory));
  const { contents, notes } = await checkAll(driver, entries, directory);
  assert.equal(contents.counts["rows.public.note"], 2);
  const custom = await dumpAll(driver, { ...options, format: "custom", binDir: server.binDir }, directory);
  assert.deepEqual([...notes, ...(await checkAll(driver, custom.entries, directory)).notes], []);
});
