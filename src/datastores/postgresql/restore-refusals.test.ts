import assert from "node:assert/strict";
import { test } from "node:test";
import { dumpAll, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { majors, openPostgres } from "../../../test/support/postgres.ts";
import { alterEntry, fillShop, isFailure, lookAtServer } from "../../../test/support/postgres-restore.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

for (const major of majors) {
  test(`F40 PostgreSQL ${major}: a role, an extension or a tablespace that is missing is told before anything is made`, async (t) => {
    await using server = await openPostgres(major);
    fillShop(server);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", binDir: server.binDir, format: "plain" });
    server.execute(`CREATE ROLE "b o""b"; ALTER TABLE note OWNER TO "b o""b"`, "shop");
    const { entries } = await dumpAll(driver, options, directory);
    server.execute(`ALTER TABLE note OWNER TO ann; DROP ROLE "b o""b"`, "shop");
    const before = lookAtServer(server);
    await assert.rejects(
      restoreAll(driver, options, directory, entries),
      isFailure("target-unsafe", /lacks roles.*: b o"b$/, /CREATE ROLE "b o""b";/),
    );
    const { entries: sound } = await dumpAll(driver, options, directory);
    const changes = [
      [
        (text: string) => text.replace("CREATE TABLE", "CREATE EXTENSION IF NOT EXISTS nowhere;\nCREATE TABLE"),
        /extensions of the dump: nowhere/,
        /packages/,
      ],
      [
        (text: string) => text.replace("SET default_tablespace = ''", "SET default_tablespace = fast"),
        /tablespaces of the dump: fast/,
        /CREATE TABLESPACE "fast"/,
      ],
      [
        (text: string) => text.replace(/Dumped from database version \d+/, "Dumped from database version 99"),
        /is of PostgreSQL 99 and the server/,
        /version 99 or newer/,
      ],
    ] as const;
    for (const [change, message, hint] of changes)
      await assert.rejects(
        restoreAll(driver, options, directory, [await alterEntry(sound[0], change)]),
        isFailure("target-unsafe", message, hint),
      );
    assert.equal(lookAtServer(server), before);
  });

  test(`PostgreSQL ${major}: a role that may not create databases, a template and a prepared transaction are refused with the remedy`, async (t) => {
    await using server = await openPostgres(major, { config: ["max_prepared_transactions = 5"] });
    fillShop(server);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("ALTER ROLE ann PASSWORD 'x'");
    const asAnn = { ...options, restoreConnection: { user: "ann", password: "x" } };
    await assert.rejects(
      restoreAll(driver, asAnn, directory, entries),
      isFailure("target-unsafe", /ann may not create databases/, /ALTER ROLE "ann" CREATEDB/),
    );
    const template = { ...options, restoreConnection: { database: "template1" } };
    await assert.rejects(
      restoreAll(driver, template, directory, entries),
      isFailure("target-unsafe", /template1 is a template/, /restoreConnection/),
    );
    server.execute("BEGIN; DELETE FROM note; PREPARE TRANSACTION 'half'", "shop");
    await assert.rejects(
      restoreAll(driver, options, directory, entries),
      isFailure("target-in-use", /prepared transactions.*half/, /ROLLBACK PREPARED/),
    );
    server.execute("ROLLBACK PREPARED 'half'", "shop");
    assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname ~ 'holdfast' OR NOT datallowconn"), "1\n");
  });

  test(`PostgreSQL ${major}: an owner who may create databases restores his own, under another name as well`, async (t) => {
    await using server = await openPostgres(major);
    fillShop(server);
    server.execute("ALTER ROLE ann CREATEDB PASSWORD 'x'");
    server.execute("ALTER TABLE note OWNER TO ann", "shop");
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", user: "ann", password: "x", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("DELETE FROM note", "shop");
    const copy = { ...options, restoreConnection: { database: "copy" } };
    const { steps } = await restoreAll(driver, copy, directory, entries);
    assert.equal(server.execute("SELECT count(*) FROM note", "copy") + server.execute("SELECT count(*) FROM note", "shop"), "500\n0\n");
    // What is there now would be saved by nobody.
    const inTheWay = isFailure("target-unsafe", /leads to copy.*would be lost/, /does not exist yet/);
    await assert.rejects(restoreAll(driver, copy, directory, entries), inTheWay);
    await driver.rollBack(steps, quiet, copy);
    assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname = 'copy'"), "0\n");
    const sameByUrl = { ...options, restoreConnection: { url: `postgresql://ann:x@localhost:${server.port}/shop` } };
    await driver.rollBack((await restoreAll(driver, sameByUrl, directory, entries)).steps, quiet, sameByUrl);
    const withoutDatabase = { ...options, restoreConnection: { url: `postgresql://ann:x@localhost:${server.port}` } };
    await driver.rollBack((await restoreAll(driver, withoutDatabase, directory, entries)).steps, quiet, withoutDatabase);
    // A host of its own is where it goes, and not what the URL of the backups says besides.
    const { host: _, port: __, ...rest } = options;
    const url = `postgresql://prod.example:${server.port}/shop?hostaddr=127.0.0.1`;
    const elsewhere = { ...rest, url, restoreConnection: { host: "staging.invalid" } };
    await assert.rejects(
      restoreAll(driver, elsewhere, directory, entries),
      isFailure("source-unreachable", /staging\.invalid/, /host and port/),
    );
    const asAnother = { ...rest, url, restoreConnection: { user: "ann", password: "x" } };
    await driver.rollBack((await restoreAll(driver, asAnother, directory, entries)).steps, quiet, asAnother);
    await driver.settle((await restoreAll(driver, options, directory, entries)).steps, quiet, options);
    assert.equal(server.execute("SELECT count(*), current_database() FROM note", "shop"), "500|shop\n");
  });
}

test("what is backed up only in part replaces no whole database, and a new one may be made of it", async (t) => {
  await using server = await openPostgres(15);
  fillShop(server);
  server.execute("CREATE TABLE other (id int); INSERT INTO other VALUES (1)", "shop");
  const directory = makeTestDirectory(t);
  for (const part of [{ tables: ["note"] }, { excludeTableData: ["other"] }, { schemaOnly: true }, { largeObjects: false }]) {
    const options = server.options({ database: "shop", ...part });
    const { entries } = await dumpAll(driver, options, directory);
    const before = lookAtServer(server);
    const refusal = isFailure("target-unsafe", /backs up only a part.*lost with shop/, /another name/);
    await assert.rejects(restoreAll(driver, options, directory, entries), refusal);
    assert.equal(lookAtServer(server), before);
    const copy = { ...options, restoreConnection: { database: "copy" } };
    const { steps } = await restoreAll(driver, copy, directory, entries);
    await driver.rollBack(steps, quiet, copy);
  }
});

test("F37 a dump of newer tools than are installed is refused, and says what to install", async (t) => {
  await using old = await openPostgres(15);
  await using recent = await openPostgres(18);
  fillShop(old);
  fillShop(recent);
  const directory = makeTestDirectory(t);
  const { entries } = await dumpAll(driver, recent.options({ database: "shop", binDir: recent.binDir }), directory);
  const before = lookAtServer(old);
  const options = old.options({ database: "shop", binDir: old.binDir });
  await assert.rejects(
    restoreAll(driver, options, directory, entries),
    isFailure("tool-missing", /pg_restore 15\S* is too old for PostgreSQL 18/, /postgresql-client-18/),
  );
  const withTools = old.options({ database: "shop", binDir: recent.binDir });
  await assert.rejects(
    restoreAll(driver, withTools, directory, entries),
    isFailure("target-unsafe", /of PostgreSQL 18 and the server is PostgreSQL 15/, /18 or newer/),
  );
  assert.equal(lookAtServer(old), before);
  // Upwards it goes.
  const { entries: older } = await dumpAll(driver, options, directory);
  recent.execute("DELETE FROM note", "shop");
  await restoreAll(driver, recent.options({ database: "shop", binDir: recent.binDir }), directory, older);
  assert.equal(recent.execute("SELECT count(*) FROM note", "shop"), "500\n");
});
