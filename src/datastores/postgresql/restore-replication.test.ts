import { waitUntil } from "../../../test/support/wait-until.ts";
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Note } from "../../base/note.ts";
import { dumpAll, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type Major, type PostgresServer } from "../../../test/support/postgres.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

/** A server with a database `shop` that follows the database `source`, which publishes its only table. */
async function openReplicated(major: Major): Promise<PostgresServer> {
  const server = await openPostgres(major, {
    config: ["wal_level = logical", "max_prepared_transactions = 2", "wal_retrieve_retry_interval = 100"],
  });
  for (const name of ["source", "shop"]) {
    server.execute(`CREATE DATABASE ${name}`);
    server.execute("CREATE TABLE note (id int PRIMARY KEY)", name);
  }
  server.execute("CREATE PUBLICATION pub FOR TABLE note; SELECT pg_create_logical_replication_slot('feed', 'pgoutput')", "source");
  const place = `host=${server.socketDirectory} port=${server.port} user=postgres dbname=source`;
  server.execute(`CREATE SUBSCRIPTION feed CONNECTION '${place}' PUBLICATION pub WITH (create_slot = false)`, "shop");
  server.execute("INSERT INTO note SELECT generate_series(1, 100)", "source");
  await waitForRow(server, 100);
  await waitForConfirmation(server);
  return server;
}

/** Until the publisher knows that it need not send again what is there: a subscriber that is restored would fall over the rows that it has. */
async function waitForConfirmation(server: PostgresServer): Promise<void> {
  const written = server.execute("SELECT pg_current_wal_insert_lsn()").trim();
  const confirmed = `SELECT confirmed_flush_lsn >= '${written}' FROM pg_replication_slots WHERE slot_name = 'feed'`;
  await waitUntil("a confirmed position of the subscriber", () => server.execute(confirmed) === "t\n");
}

async function waitForRow(server: PostgresServer, id: number): Promise<void> {
  const isThere = () => server.execute(`SELECT count(*) FROM note WHERE id = ${id}`, "shop") === "1\n";
  await waitUntil(`the replicated row ${id}`, isThere, { withinMs: 60_000 });
}

async function readNotes(t: TestContext, options: unknown): Promise<readonly Note[]> {
  await using datastore = await driver.configure(options).open(makeContext(makeTestDirectory(t)));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  return (await session.inspect(quiet)).notes;
}

const listDatabases = (server: PostgresServer): string =>
  server.execute("SELECT oid, datname, datallowconn FROM pg_database WHERE datname ~ 'shop|source|holdfast' ORDER BY 1");

for (const major of majors) {
  test(`PostgreSQL ${major}: a database with a subscription is restored once that is disabled; nothing of it is lost, or left`, async (t) => {
    await using server = await openReplicated(major);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    const before = listDatabases(server);
    const refusal = { code: "target-unsafe", message: /shop has subscriptions.*: feed$/, hint: /`ALTER SUBSCRIPTION "feed" DISABLE;`/ };
    await assert.rejects(restoreAll(driver, options, directory, entries), refusal);
    assert.equal(listDatabases(server), before);
    server.execute("ALTER SUBSCRIPTION feed DISABLE", "shop");
    assert.ok((await readNotes(t, options)).some(({ code, message }) => code === "subscriptions" && message.includes("feed")));
    const undone = await restoreAll(driver, options, directory, entries);
    assert.notEqual(listDatabases(server), before);
    for (let times = 0; times < 2; times += 1) await driver.rollBack(undone.steps, quiet, options);
    assert.equal(listDatabases(server), before);
    const { steps } = await restoreAll(driver, options, directory, entries);
    for (let times = 0; times < 2; times += 1) await driver.settle(steps, quiet, options);
    assert.equal(listDatabases(server).split("\n").length, before.split("\n").length);
    assert.equal(server.execute("SELECT subname, subenabled, subslotname FROM pg_subscription"), "feed|f|feed\n");
    server.execute("ALTER SUBSCRIPTION feed ENABLE; ALTER SUBSCRIPTION feed REFRESH PUBLICATION WITH (copy_data = false)", "shop");
    // Until the worker knows the table again its changes are passed over: so there is a new one now and then. The launcher of 15 may sleep
    // for three minutes after a worker that ended at once: ENABLE wakes it.
    let id = 100;
    await waitUntil(
      "a row that is replicated again",
      () => {
        id += 1;
        server.execute(`INSERT INTO note VALUES (${id})`, "source");
        server.execute("ALTER SUBSCRIPTION feed ENABLE", "shop");
        return server.execute("SELECT count(*) > 0 FROM note WHERE id > 100", "shop") === "t\n";
      },
      { pollMs: 500, withinMs: 60_000 },
    );
  });

  test(`PostgreSQL ${major}: a restore that fails leaves no staging database with a subscription`, async (t) => {
    await using server = await openReplicated(major);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("ALTER SUBSCRIPTION feed DISABLE", "shop");
    const before = listDatabases(server);
    const record = (step: { readonly op?: unknown }): void => {
      // At work again while the dump was loaded: it is asked once more before the names change.
      if (step.op === "create") server.execute("ALTER SUBSCRIPTION feed ENABLE", "shop");
    };
    const late = { code: "target-unsafe", message: /subscriptions that are at work/ };
    await assert.rejects(restoreAll(driver, options, directory, entries, { record }), late);
    assert.equal(listDatabases(server), before);
  });

  test(`PostgreSQL ${major}: slots, publications and prepared transactions of the target are in the plan, each with the remedy`, async (t) => {
    await using server = await openReplicated(major);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "source", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("BEGIN; DELETE FROM note; PREPARE TRANSACTION 'half'", "source");
    const notes = await readNotes(t, options);
    const told = (code: string): string => notes.find((note) => note.code === code && note.level === "warning")?.message ?? "";
    assert.match(told("replication-slots"), /\(feed\).*set up again/);
    assert.match(told("publications"), /\(pub\).*new copy of the data/);
    assert.match(told("prepared-transactions"), /\(half\).*ROLLBACK PREPARED/);
    server.execute("ROLLBACK PREPARED 'half'", "source");
    // The slot is in use by the subscriber, which goes on asking for it.
    const { steps } = await restoreAll(driver, options, directory, entries);
    await driver.rollBack(steps, quiet, options);
    server.execute("INSERT INTO note VALUES (101)", "source");
    await waitForRow(server, 101);
    const restored = await restoreAll(driver, options, directory, entries);
    await driver.settle(restored.steps, quiet, options);
    assert.equal(server.execute("SELECT count(*) FROM note; SELECT pubname FROM pg_publication", "source"), "100\npub\n");
    assert.equal(server.execute("SELECT count(*) FROM pg_replication_slots"), "0\n");
    assert.equal(listDatabases(server).includes("holdfast"), false);
  });

  test(`F41 PostgreSQL ${major}: that SQL is loaded with the rights of a superuser is in the plan`, async (t) => {
    await using server = await openPostgres(major);
    server.execute("CREATE DATABASE shop; CREATE ROLE ann LOGIN CREATEDB PASSWORD 'x'; ALTER DATABASE shop OWNER TO ann");
    const options = server.options({ database: "shop", binDir: server.binDir });
    const codes = async (extra: Readonly<Record<string, unknown>>) =>
      (await readNotes(t, { ...options, ...extra })).map(
        ({ code, level, message }) => `${level} ${code} ${/restoreConnection.*format: custom/.test(message)}`,
      );
    assert.deepEqual(await codes({ format: "plain" }), ["warning loaded-by-superuser true"]);
    assert.deepEqual(await codes({ format: "custom" }), []);
    assert.deepEqual(await codes({ format: "plain", restoreConnection: { user: "ann", password: "x" } }), []);
  });
}
