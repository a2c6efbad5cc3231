import assert from "node:assert/strict";
import { test } from "node:test";
import { makeContext, makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { makeDockerStandIn, majors, openPostgres } from "../../../test/support/postgres.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

for (const major of majors) {
  test(`A14 PostgreSQL ${major}: one value is read, directly, by psql and through a container; nothing can be changed`, async (t) => {
    await using server = await openPostgres(major);
    server.execute("CREATE DATABASE shop");
    server.execute(
      `CREATE SCHEMA sales; CREATE SEQUENCE sales.counter; CREATE TABLE sales."Users" (id int); INSERT INTO sales."Users" VALUES (1), (2);
       ALTER DATABASE shop SET search_path = sales`,
      "shop",
    );
    makeDockerStandIn(t, server, "db");
    const directory = makeTestDirectory(t);
    const ways = [
      server.options({ database: "shop", binDir: server.binDir }),
      { host: server.socketDirectory, port: server.port, database: "shop", runAs: "postgres", user: "postgres", binDir: server.binDir },
      { via: { docker: "db" }, database: "shop", user: "postgres" },
    ];
    for (const options of ways) {
      await using datastore = await driver.configure(options).open(makeContext(directory));
      const query = (sql: string): Promise<string | null> => datastore.query?.(sql, quiet) ?? assert.fail();
      const about = JSON.stringify(options);
      assert.equal(await query('SELECT COUNT(*) FROM "Users";\n'), "2", about);
      assert.equal(await query("SELECT 3, 4 -- two columns of one name"), "3", about);
      assert.equal(await query("SELECT E'a\\tb' || chr(10) || 'ü'"), "a\tb\nü", about);
      assert.equal(await query("SELECT NULL"), null, about);
      assert.equal(await query('SELECT id FROM "Users" WHERE id > 9'), null, about);
      // What is left unread must not keep the session from ending: it did, once in a few times.
      for (let round = 0; round < 12; round++) assert.equal(await query("SELECT id FROM generate_series(1, 100000) AS id"), "1", about);
      assert.equal(await query("SELECT EXISTS (SELECT 1)"), "t", about);
      await assert.rejects(query("SELECT * FROM nothing"), /relation "nothing" does not exist/, about);
      await assert.rejects(query('INSERT INTO "Users" VALUES (3) RETURNING id'), /read-only transaction/, about);
      await assert.rejects(query("SELECT nextval('sales.counter')"), /read-only transaction/, about);
    }
    assert.equal(server.execute('SELECT count(*) FROM sales."Users"', "shop"), "2\n");
  });
}
