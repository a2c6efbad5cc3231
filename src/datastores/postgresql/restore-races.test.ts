import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { HoldfastError } from "../../base/errors.ts";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import type { StoredEntry, SwapStep } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const major = majors[0];

function fill(server: PostgresServer): void {
  server.execute("CREATE DATABASE shop");
  server.execute(
    `CREATE TABLE note (id serial PRIMARY KEY, body text, figure float8);
     INSERT INTO note (body, figure) SELECT md5(i::text), pi() * i FROM generate_series(1, 50) i`,
    "shop",
  );
}

const read = (server: PostgresServer): string =>
  server.execute(
    `SET extra_float_digits = 3; SELECT count(*), md5(string_agg(n::text, '' ORDER BY id)) FROM note n; SELECT last_value FROM note_id_seq;
     SELECT nspname FROM pg_namespace WHERE nspname ~ 'holdfast'; SELECT datname, datallowconn FROM pg_database ORDER BY 1`,
    "shop",
  );

/** Replaces the rows of the table `note`; `record` is called before a step is made durable. */
async function restoreNote(
  options: unknown,
  directory: string,
  entries: readonly StoredEntry[],
  record: (step: SwapStep) => Promise<void> | void,
  signal = quiet,
): Promise<void> {
  await using datastore = await driver.configure(options).open(makeContext(directory));
  const keep = async (step: SwapStep): Promise<void> => record(step);
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts: ["note"], record: keep }, quiet);
  await session.inspect(quiet);
  await session.stage(each(entries), quiet);
  await session.swap(keep, signal);
}

async function waitForSession(server: PostgresServer, condition: string): Promise<void> {
  const sql = `SELECT 1 FROM pg_stat_activity WHERE ${condition} AND pid <> pg_backend_pid()`;
  await waitUntil(`a session with ${condition}`, () => server.execute(sql) !== "", { pollMs: 10 });
}

test("F36 a replacement that fails at its end leaves the sequences as they were", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  server.execute(
    `CREATE TABLE fuse (id int); CREATE FUNCTION burn(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
       BEGIN IF EXISTS (SELECT FROM public.fuse) THEN RAISE 'burnt'; END IF; RETURN x % 7; END $$;
     CREATE STATISTICS burning ON (burn(id)) FROM note`,
    "shop",
  );
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  server.execute("INSERT INTO note (body) SELECT 'later' FROM generate_series(1, 40); INSERT INTO fuse VALUES (1)", "shop");
  const before = read(server);
  await assert.rejects(
    restoreNote(options, directory, entries, () => undefined),
    /burnt/,
  );
  assert.equal(read(server), before);
});

test("F1 a roll-back waits for the replacement that a killed worker has sent off, then undoes it", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  server.execute("UPDATE note SET body = 'later'", "shop");
  const before = read(server);
  const setStandbys = (names: string): void => {
    for (const sql of [
      `ALTER SYSTEM SET synchronous_standby_names = '${names}'`,
      "ALTER SYSTEM SET synchronous_commit = on",
      "SELECT pg_reload_conf()",
    ])
      server.execute(sql);
  };
  const steps: SwapStep[] = [];
  const killed = new AbortController();
  const ended = restoreNote(
    options,
    directory,
    entries,
    (step) => {
      steps.push(step);
      // From now on a commit waits for a standby that is not there.
      if (step["op"] === "tables") setStandbys("nobody");
    },
    killed.signal,
  ).catch((error: unknown) => error);
  await waitForSession(server, "wait_event = 'SyncRep'");
  const rolledBack = driver.rollBack(steps, quiet, options);
  killed.abort();
  await waitForSession(server, "wait_event = 'advisory'");
  setStandbys("");
  await rolledBack;
  assert.ok((await ended) instanceof Error);
  assert.equal(read(server), before);
});

test("F36 a role's own time limits end neither a replacement nor its roll-back", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  server.execute("UPDATE note SET body = 'later'; ALTER DATABASE shop SET statement_timeout = '100ms'", "shop");
  const before = server.execute("SET statement_timeout = 0; SELECT md5(string_agg(n::text, '' ORDER BY id)) FROM note n", "shop");
  const steps: SwapStep[] = [];
  await restoreNote(options, directory, entries, (step) => void steps.push(step));
  await driver.rollBack(steps, quiet, options);
  assert.equal(server.execute("SET statement_timeout = 0; SELECT md5(string_agg(n::text, '' ORDER BY id)) FROM note n", "shop"), before);
});

test("P6 floating-point numbers keep all their digits through a replacement and its roll-back, whatever the server's settings", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major, { config: ["extra_float_digits = -5"] });
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  const before = read(server);
  const steps: SwapStep[] = [];
  await restoreNote(options, directory, entries, (step) => void steps.push(step));
  const rows = (text: string): string | undefined => text.split("\n")[0];
  assert.equal(rows(read(server)), rows(before));
  await driver.rollBack(steps, quiet, options);
  assert.equal(rows(read(server)), rows(before));
});

test("F36 a roll-back gives a sequence what it had when the rows were replaced, not when that was asked for", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  const env = { ...process.env, PGHOST: server.socketDirectory, PGPORT: String(server.port), PGUSER: "postgres", PGDATABASE: "shop" };
  const client = spawn("psql", ["-X", "-q"], { env, stdio: ["pipe", "ignore", "inherit"] });
  client.stdin.write("BEGIN; INSERT INTO note (body) VALUES ('open');\n");
  await waitForSession(server, "state = 'idle in transaction'");
  const steps: SwapStep[] = [];
  const replaced = restoreNote(options, directory, entries, (step) => void steps.push(step));
  await waitForSession(server, "wait_event = 'relation'");
  client.stdin.end("INSERT INTO note (body) SELECT 'more' FROM generate_series(1, 9); COMMIT;\n");
  await once(client, "exit");
  await replaced;
  await driver.rollBack(steps, quiet, options);
  assert.equal(server.execute("SELECT count(*), max(id), (SELECT last_value FROM note_id_seq) FROM note", "shop").trim(), "60|60|60");
});

test("F36 restored data is not removed by a roll-back when what it had replaced is gone", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  const { steps } = await restoreAll(driver, options, directory, entries);
  const aside = server.execute("SELECT datname FROM pg_database WHERE datname ~ 'holdfast'").trim();
  server.execute(`DROP DATABASE "${aside}"`);
  await assert.rejects(
    async () => driver.rollBack(steps, quiet, options),
    (error: unknown) => {
      assert.ok(error instanceof HoldfastError);
      assert.equal(error.code, "restore-stuck");
      assert.match(error.message, /is gone/);
      return true;
    },
  );
  assert.equal(server.execute("SELECT count(*) FROM note", "shop").trim(), "50");
});

test("F4 a roll-back after a power cut waits for a server that starts later than Holdfast", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir, waitFor: "60s" });
  const { entries } = await dumpAll(driver, options, directory);
  const before = read(server);
  const { steps } = await restoreAll(driver, options, directory, entries);
  await server.stop();
  const rolledBack = driver.rollBack(steps, quiet, options);
  await pause(300);
  await server.start();
  await rolledBack;
  assert.equal(read(server), before);
});

test("F31 a database that is named and may not be connected to is a failure, not left out", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  server.execute("CREATE DATABASE closed");
  server.execute("ALTER DATABASE closed ALLOW_CONNECTIONS false");
  const options = server.options({ databases: ["shop", "closed"], binDir: server.binDir });
  await assert.rejects(dumpAll(driver, options, directory), /"closed"/);
});

test("A6 a name that means a partitioned table and another table of that name is refused", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  server.execute(
    `CREATE SCHEMA other; CREATE TABLE other.log (line text); CREATE TABLE log (at int) PARTITION BY RANGE (at);
     CREATE TABLE log_1 PARTITION OF log DEFAULT; INSERT INTO log VALUES (1); INSERT INTO other.log VALUES ('x')`,
    "shop",
  );
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
  await using datastore = await driver.configure(options).open(makeContext(directory));
  await using session = await datastore.openRestore(
    { kind: "original" },
    { absent: false, parts: ["log"], record: async () => undefined },
    quiet,
  );
  await session.inspect(quiet);
  await assert.rejects(session.stage(each(entries), quiet), /several tables "log"/);
});

for (const [what, more] of [
  ["databases: all", { databases: "all" }],
  ["the whole server", { format: "cluster" }],
] as const) {
  test(`F36 what is saved of ${what} before a restore does not hold what that restore has staged`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    fill(server);
    const options = server.options({ ...more, binDir: server.binDir });
    const before = await dumpAll(driver, options, directory);
    await using datastore = await driver.configure(options).open(makeContext(directory));
    await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record: async () => undefined }, quiet);
    await session.inspect(quiet);
    await session.stage(each(before.entries), quiet);
    assert.match(server.execute("SELECT datname FROM pg_database"), /shop_holdfast_/);
    const saved = await dumpAll(driver, options, directory);
    assert.deepEqual(
      (await checkAll(driver, saved.entries, directory)).contents.counts,
      (await checkAll(driver, before.entries, directory)).contents.counts,
    );
    assert.match(saved.notes.map(({ message }) => message).join("\n"), /"shop_holdfast_\w+" is one of a restore, and is left out/);
  });
}

test("F36 a named database that is gone is told before a restore, with its remedy: what is there could not be saved", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openPostgres(major);
  fill(server);
  const options = server.options({ databases: ["shop", "other"], binDir: server.binDir });
  await using datastore = await driver.configure(options).open(makeContext(directory));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record: async () => undefined }, quiet);
  const inspect = async (): Promise<readonly string[]> => (await session.inspect(quiet)).notes.map(({ message }) => message);
  assert.match((await inspect()).join("\n"), /no database "other", so what is there cannot be saved first: .*CREATE DATABASE "?other"?;/);
  server.execute("CREATE DATABASE other");
  assert.doesNotMatch((await inspect()).join("\n"), /no database/);
});
