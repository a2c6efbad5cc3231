import assert from "node:assert/strict";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { HoldfastError, type ErrorCode } from "../../base/errors.ts";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import type { StoredEntry, SwapStep } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const formats = ["custom", "plain", "directory"] as const;

function fill(server: PostgresServer): void {
  server.execute("CREATE DATABASE shop");
  server.execute(
    `CREATE TABLE customer (id serial PRIMARY KEY, name text, upper text GENERATED ALWAYS AS (upper(name)) STORED);
     CREATE TABLE "Or.der" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE, body text);
     COMMENT ON CONSTRAINT "Or.der_customer_fkey" ON "Or.der" IS 'kept';
     CREATE TABLE log (at date, line text) PARTITION BY RANGE (at);
     CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
     CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
     CREATE VIEW names AS SELECT name FROM customer;
     CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name = NEW.name || ' fired'; RETURN NEW; END $$;
     CREATE TRIGGER t BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION fire();
     INSERT INTO customer (name) SELECT E'name\\n' || i FROM generate_series(1, 50) i;
     INSERT INTO "Or.der" (customer, body) SELECT 1 + i % 50, E'\\\\.' FROM generate_series(1, 200) i;
     INSERT INTO log VALUES ('2020-05-05', 'one'), ('2021-05-05', NULL)`,
    "shop",
  );
}

function read(server: PostgresServer): string {
  return server.execute(
    `SELECT count(*), md5(string_agg(c::text, '' ORDER BY id)) FROM customer c; SELECT count(*), md5(string_agg(o::text, '' ORDER BY id)) FROM "Or.der" o;
     SELECT * FROM log ORDER BY 1; SELECT last_value, is_called FROM customer_id_seq; SELECT last_value, is_called FROM "Or.der_id_seq";
     SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE contype = 'f'; SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal;
     SELECT nspname FROM pg_namespace WHERE nspname ~ 'holdfast'`,
    "shop",
  );
}

interface Outcome {
  readonly steps: readonly SwapStep[];
  readonly keys: readonly string[];
}

async function restoreTables(
  options: unknown,
  directory: string,
  entries: readonly StoredEntry[],
  parts: readonly string[],
): Promise<Outcome> {
  const { contents } = await checkAll(driver, entries, directory);
  await using datastore = await driver.configure(options).open(makeContext(directory));
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => {
    steps.push(step);
  };
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts, record }, quiet);
  assert.match((await session.inspect(quiet)).method, /rows of the tables/);
  const staged = await session.stage(each(entries.map((entry) => ({ ...entry, contents }))), quiet);
  const picked = Object.fromEntries(Object.keys(staged.counts).map((key) => [key, contents.counts[key] ?? -1]));
  assert.deepEqual(compareContents({ counts: picked, digests: {}, facts: {} }, staged), []);
  await session.swap(record, quiet);
  return { steps, keys: Object.keys(staged.counts) };
}

for (const major of majors) {
  for (const format of formats) {
    test(`A6 PostgreSQL ${major} ${format}: only the named tables come back, with their sequences; undone and settled`, async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openPostgres(major);
      fill(server);
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const original = read(server);
      server.execute(`DELETE FROM "Or.der" WHERE id > 7; UPDATE log SET line = 'later'; SELECT setval('"Or.der_id_seq"', 900)`, "shop");
      const changed = read(server);
      const databases = server.execute("SELECT datname FROM pg_database");

      const { steps, keys } = await restoreTables(options, directory, entries, ["Or.der", "log"]);
      assert.deepEqual(keys, [`rows.public."Or.der"`, "rows.public.log_1", "rows.public.log_2"]);
      assert.equal(read(server).replace(/holdfast\w+\n/, ""), original);
      assert.equal(server.execute("SELECT datname FROM pg_database"), databases);
      for (let look = 0; look < 2; look += 1) {
        await driver.rollBack(steps, quiet, options);
        assert.equal(read(server), changed);
      }
      // Referenced by another table, with a trigger, a generated column and a view: the rows that it has are those of then.
      server.execute("UPDATE customer SET name = 'changed'", "shop");
      const again = await restoreTables(options, directory, entries, ["public.customer", `public."Or.der"`, "log_1", "log_2"]);
      for (let look = 0; look < 2; look += 1) {
        await driver.settle(again.steps, quiet, options);
        assert.equal(read(server), original);
      }
    });
  }

  test(`A6 PostgreSQL ${major}: a table whose rows would break a foreign key, or that has changed, is refused and nothing is touched`, async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openPostgres(major);
    fill(server);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    const isRefused =
      (code: ErrorCode, message: RegExp) =>
      (error: unknown): boolean => {
        assert.ok(error instanceof HoldfastError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.notEqual(error.hint, undefined);
        return true;
      };
    const refuses = async (parts: readonly string[], code: ErrorCode, message: RegExp): Promise<void> => {
      const before = read(server) + server.execute("SELECT datname FROM pg_database");
      await assert.rejects(restoreTables(options, directory, entries, parts), isRefused(code, message));
      assert.equal(read(server) + server.execute("SELECT datname FROM pg_database"), before);
    };
    server.execute(`INSERT INTO customer (name) VALUES ('new'); UPDATE "Or.der" SET customer = 51 WHERE id = 3`, "shop");
    await refuses(["customer"], "target-unsafe", /would break a foreign key.*Or\.der.*\(51\)/);
    await refuses(["nothing"], "unknown-name", /no table "nothing"/);
    server.execute("ALTER TABLE log ADD COLUMN extra int", "shop");
    await refuses(["log"], "target-unsafe", /log_1 has other columns.*extra integer/);
    server.execute("ALTER TABLE log DROP COLUMN extra; DROP TABLE log_1", "shop");
    await refuses(["log"], "target-unsafe", /log_1 is not in shop any more/);
  });
}

/** Tables whose rows hold nothing that can be written: what counts is how many there are. */
const unwritable = ["computed", "bare", "emptied"] as const;

function fillUnwritable(server: PostgresServer): void {
  server.execute("CREATE DATABASE shop");
  server.execute(
    `CREATE TABLE computed (one int GENERATED ALWAYS AS (1) STORED);
     INSERT INTO computed DEFAULT VALUES; INSERT INTO computed DEFAULT VALUES; INSERT INTO computed DEFAULT VALUES;
     CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES;
     CREATE TABLE emptied (gone int); INSERT INTO emptied SELECT generate_series(1, 5); ALTER TABLE emptied DROP COLUMN gone;
     CREATE TABLE child () INHERITS (bare); INSERT INTO child DEFAULT VALUES`,
    "shop",
  );
}

function countUnwritable(server: PostgresServer): readonly number[] {
  return unwritable.map((table) => Number(server.execute(`SELECT count(*) FROM ONLY ${table}`, "shop")));
}

for (const major of majors) {
  for (const format of formats) {
    test(`A6 PostgreSQL ${major} ${format}: a table without a column that can be written comes back with as many rows as the dump has`, async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openPostgres(major);
      fillUnwritable(server);
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const { contents } = await checkAll(driver, entries, directory);
      const dumped = unwritable.map((table) => contents.counts[`rows.public.${table}`] ?? -1);
      assert.deepEqual(dumped, [3, 2, 5]);
      server.execute("TRUNCATE ONLY bare; INSERT INTO computed DEFAULT VALUES; DELETE FROM emptied", "shop");
      const changed = countUnwritable(server);
      assert.deepEqual(changed, [4, 0, 0]);

      const { steps } = await restoreTables(options, directory, entries, unwritable);
      assert.deepEqual(countUnwritable(server), dumped);
      for (let look = 0; look < 2; look += 1) {
        await driver.rollBack(steps, quiet, options);
        assert.deepEqual(countUnwritable(server), changed);
      }
      assert.equal(server.execute("SELECT count(*) FROM child", "shop").trim(), "1");
    });
  }
}

for (const major of majors) {
  for (const format of formats) {
    test(`A6 PostgreSQL ${major} ${format}: a partitioned table's sequence comes back with it, and one that another table uses is not set back`, async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openPostgres(major);
      server.execute("CREATE DATABASE shop");
      server.execute(
        `CREATE TABLE event (id bigint GENERATED BY DEFAULT AS IDENTITY, n serial, t text) PARTITION BY RANGE (id);
         CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (1000); CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (1000) TO (9000);
         INSERT INTO event (t) SELECT 'then' FROM generate_series(1, 500);
         CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id int DEFAULT nextval('a_id_seq') PRIMARY KEY); INSERT INTO a DEFAULT VALUES;
         CREATE SEQUENCE down INCREMENT BY -1; CREATE TABLE c (id int DEFAULT nextval('down') PRIMARY KEY);
         CREATE TABLE d (id int DEFAULT nextval('down') PRIMARY KEY); ALTER SEQUENCE down OWNED BY c.id; INSERT INTO c DEFAULT VALUES`,
        "shop",
      );
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      server.execute(
        "TRUNCATE event RESTART IDENTITY; INSERT INTO b SELECT FROM generate_series(1, 100); INSERT INTO d SELECT FROM generate_series(1, 50)",
        "shop",
      );
      const look = (): string =>
        server.execute(
          "SELECT last_value FROM event_id_seq, LATERAL (SELECT last_value AS n FROM event_n_seq) x WHERE n = last_value; SELECT last_value FROM a_id_seq; SELECT last_value FROM down",
          "shop",
        );
      const { steps } = await restoreTables(options, directory, entries, ["event", "a", "c"]);
      assert.equal(look(), "500\n101\n-51\n");
      server.execute("INSERT INTO event (t) VALUES ('after'); INSERT INTO b DEFAULT VALUES; INSERT INTO d DEFAULT VALUES", "shop");
      assert.equal(server.execute("SELECT count(*), count(DISTINCT id), count(DISTINCT n) FROM event", "shop"), "501|501|501\n");
      await driver.rollBack(steps, quiet, options);
      // What was taken meanwhile is not given out again.
      assert.equal(look(), "501\n102\n-52\n");
      assert.equal(server.execute("SELECT count(*) FROM event", "shop"), "0\n");
      // Where it is behind it is brought forward.
      server.execute("ALTER SEQUENCE a_id_seq RESTART; ALTER SEQUENCE down RESTART; DELETE FROM a; DELETE FROM c", "shop");
      await driver.settle((await restoreTables(options, directory, entries, ["a", "c"])).steps, quiet, options);
      assert.equal(server.execute("SELECT nextval('a_id_seq'), nextval('down')", "shop"), "2|-2\n");
    });
  }
}
