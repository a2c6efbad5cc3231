import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "pg";
import { checkAll, dumpAll, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { majors, openPostgres } from "../../../test/support/postgres.ts";
import { openBouncer } from "../../../test/support/postgres-bouncer.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

for (const major of majors) {
  for (const mode of ["session", "transaction", "statement"] as const) {
    test(`PostgreSQL ${major}: a pooler in ${mode} mode is known whatever its port, never makes a dump smaller, and gets no restore`, async (t) => {
      await using server = await openPostgres(major);
      server.execute("CREATE DATABASE shop");
      server.execute("CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note SELECT generate_series(1, 5000)", "shop");
      await using bouncer = await openBouncer(server, mode);
      const directory = makeTestDirectory(t);
      const direct = server.options({ database: "shop", binDir: server.binDir });
      const through = bouncer.options({ database: "shop", binDir: server.binDir });
      const { entries } = await dumpAll(driver, direct, directory);
      const look = () => server.execute("SELECT oid, datname, datallowconn FROM pg_database ORDER BY 1");
      const before = look();
      const refusal = { message: /connection pooler answers there/, hint: /server itself/ };
      await using datastore = await driver.configure(through).open(makeContext(directory));
      if (mode === "session") {
        const { notes } = await datastore.probe(quiet);
        assert.deepEqual(
          notes
            .filter(({ level }) => level === "warning")
            .map(({ code }) => code)
            .filter((code) => code !== "tools-newest"),
          ["pooler"],
        );
        const dumped = await dumpAll(driver, through, directory);
        assert.equal((await checkAll(driver, dumped.entries, directory)).contents.counts["rows.public.note"], 5000);
      } else {
        await assert.rejects(datastore.probe(quiet), { code: "source-unreadable", ...refusal });
        for (const format of ["custom", "plain", "directory", "cluster", "sqlite"]) {
          const options = format === "cluster" ? { ...through, database: undefined } : through;
          await assert.rejects(dumpAll(driver, { ...options, format }, directory), { code: "source-unreadable", ...refusal });
        }
        // By psql, which does not tell who it is connected to.
        const url = `postgresql://postgres@127.0.0.1:${bouncer.port}/shop?sslmode=prefer`;
        const bySql = { url, password: through["password"], binDir: server.binDir, waitFor: "0s" };
        await assert.rejects(dumpAll(driver, bySql, directory), { code: "source-unreadable", ...refusal });
      }
      await assert.rejects(restoreAll(driver, through, directory, entries), { code: "target-unsafe", ...refusal });
      assert.equal(look(), before);
      // What the application shares with us is as it was.
      const [client] = await connectThrough(bouncer.port, String(through["password"]));
      assert.deepEqual(client, { search_path: '"$user", public' });
    });
  }
}

async function connectThrough(port: number, password: string): Promise<readonly unknown[]> {
  const client = new Client({ host: "127.0.0.1", port, user: "postgres", password, database: "shop" });
  await client.connect();
  try {
    return (await client.query<{ search_path: string }>("SHOW search_path")).rows;
  } finally {
    await client.end();
  }
}
