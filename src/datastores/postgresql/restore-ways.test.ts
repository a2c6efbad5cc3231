import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { checkAll, dumpAll, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { fillTable, majors, makeDockerStandIn, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

function fill(server: PostgresServer): void {
  server.execute("CREATE DATABASE shop");
  fillTable(server, "shop", "note", 2);
}

for (const major of majors) {
  for (const format of ["custom", "plain"] as const) {
    test(`W7 PostgreSQL ${major} ${format}: a restore into a container goes through standard input, and shows no password`, async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openPostgres(major);
      fill(server);
      const { log } = makeDockerStandIn(t, server, "db");
      const options = { via: { docker: "db" }, user: "postgres", password: "never seen", database: "shop", format, waitFor: "0s" };
      const { entries } = await dumpAll(driver, options, directory);
      const { contents } = await checkAll(driver, entries, directory);
      server.execute("DELETE FROM note WHERE id > 3", "shop");
      const known = entries.map((entry) => ({ ...entry, contents }));
      const { found, steps } = await restoreAll(driver, options, directory, known);
      assert.deepEqual(compareContents(contents, found), []);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "2000\n");
      await driver.rollBack(steps, quiet, options);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "3\n");
      assert.doesNotMatch(readFileSync(log, "utf8"), /never seen/);
    });
  }

  test(`PostgreSQL ${major}: tools that run as another account can read what is restored`, async (t) => {
    const directory = makeTestDirectory(t);
    // No user is named: it is the account's.
    await using server = await openPostgres(major);
    fill(server);
    for (const format of ["custom", "directory"] as const) {
      const { user: _, ...socket } = server.socketOptions({ runAs: "postgres", database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, socket, directory);
      server.execute("DELETE FROM note", "shop");
      const { steps } = await restoreAll(driver, socket, directory, entries);
      await driver.settle(steps, quiet, socket);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "2000\n");
    }
  });
}
