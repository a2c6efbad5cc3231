import assert from "node:assert/strict";
import { test } from "node:test";
import { dumpAll, each, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { isFailure } from "../../../test/support/postgres-restore.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import type { SwapStep } from "../contract.ts";
import { postgresqlOptions } from "./options.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";
import { resolveServer } from "./restore-server.ts";
import { holdSql, openDatabase } from "./restore-sql.ts";

const databases = ["postgres", "shop", "template1"] as const;

function fill(server: PostgresServer): void {
  server.execute("CREATE DATABASE shop");
  for (const name of databases) server.execute("CREATE TABLE note (id int); INSERT INTO note VALUES (1), (2)", name);
}

function read(server: PostgresServer): string {
  const counts = databases.map((name) => server.execute("SELECT count(*) FROM note", name).trim());
  const found = server.execute("SELECT datname, datallowconn, datistemplate FROM pg_database ORDER BY 1");
  return `${counts.join(" ")}\n${found}`;
}

for (const major of majors) {
  test(`F40 PostgreSQL ${major}: a whole server with something in postgres and in template1 is rolled back wherever that is interrupted, and settled`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    fill(server);
    const options = server.options({ format: "cluster", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    for (const name of databases) server.execute("INSERT INTO note VALUES (3)", name);
    const changed = read(server);
    let from = Number.MAX_SAFE_INTEGER;
    do {
      const { steps } = await restoreAll(driver, options, directory, entries);
      from = Math.min(from, steps.length);
      assert.match(read(server), /^2 2 2\n/);
      // What a roll-back had undone when it was killed.
      await driver.rollBack(steps.slice(from), quiet, options);
      await driver.rollBack(steps, quiet, options);
      assert.equal(read(server), changed);
      from -= 1;
    } while (from > 0);
    const { steps } = await restoreAll(driver, options, directory, entries);
    await driver.settle(steps, quiet, options);
    await driver.settle(steps, quiet, options);
    assert.equal(read(server), changed.replace("3 3 3", "2 2 2"));
  });
}

test("G6 a database that the server is still making for a program that died is removed when it is there", async () => {
  await using server = await openPostgres(15);
  const options = server.options({ binDir: server.binDir });
  const name = "shop_holdfast_0123456789";
  let undoing: Promise<void>;
  {
    await using dying = await openDatabase(await resolveServer(postgresqlOptions.parse(options), quiet), "postgres", quiet);
    await dying.query(holdSql(name, "lock"));
    undoing = driver.rollBack([{ op: "create", database: name }], quiet, options);
    await waitUntil("a roll-back that waits", () => server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") === "1\n");
    await dying.query(`CREATE DATABASE ${name}`);
  }
  await undoing;
  assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname ~ 'holdfast'"), "0\n");
});

test("A14 what was put aside is not removed when the server has lost the swap", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(15);
  server.execute("CREATE DATABASE shop");
  server.execute("CREATE TABLE note (id int)", "shop");
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  const { steps } = await restoreAll(driver, options, directory, entries);
  const swap = steps.find(({ op }) => op === "swap");
  server.execute(`ALTER DATABASE shop RENAME TO ${String(swap?.["staged"])}; ALTER DATABASE ${String(swap?.["aside"])} RENAME TO shop`);
  await assert.rejects(
    driver.settle(steps, quiet, options),
    isFailure("restore-stuck", /shop is not the restored database/, /restore again/),
  );
  assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname ~ '^shop'"), "2\n");
});

// Written by nobody before the server is gone: whoever commits must have it written.
const lazy = ["synchronous_commit = off", "wal_writer_delay = 10s", "bgwriter_delay = 10s", "autovacuum = off"];

for (const [what, format, parts] of [
  ["a whole database", "custom", undefined],
  ["a table", "custom", ["note"]],
  ["rows of an export", "sqlite", undefined],
] as const) {
  test(`W1 ${what} that was restored outlives a loss of power, though the server has synchronous_commit off`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(15, { config: lazy });
    server.execute("CREATE DATABASE shop");
    server.execute("CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note SELECT generate_series(1, 5)", "shop");
    const options = server.options({ database: "shop", format, binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("INSERT INTO note SELECT generate_series(6, 1000)", "shop");
    const steps: SwapStep[] = [];
    const record = async (step: SwapStep): Promise<void> => {
      steps.push(step);
    };
    await using datastore = await driver.configure(options).open(makeContext(directory));
    {
      const restoring = { absent: false, record, ...(parts === undefined ? {} : { parts }) };
      const session = await datastore.openRestore({ kind: "original" }, restoring, quiet);
      await session.stage(each(entries), quiet);
      await session.swap(record, quiet);
      await server.stop("immediate");
      await Promise.resolve(session[Symbol.asyncDispose]()).catch(() => undefined);
    }
    await server.start();
    assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "5\n");
    await driver.settle(steps, quiet, options);
    assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "5\n");
  });
}
