import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, type ErrorCode } from "../../base/errors.ts";
import {
  checkAll,
  dumpAll,
  each,
  makeContext,
  makeTestDirectory,
  quiet,
  readEntry,
  restoreAll,
  storeEntry,
} from "../../../test/support/datastore.ts";
import { fillTable, majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import type { StoredEntry, SwapStep } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

class Stop extends Error {}

function fill(server: PostgresServer): void {
  server.execute("CREATE ROLE ann LOGIN; CREATE DATABASE shop OWNER ann CONNECTION LIMIT 9");
  server.execute(
    "CREATE TABLE note (id int PRIMARY KEY, body text); INSERT INTO note SELECT i, md5(i::text) FROM generate_series(1, 500) i",
    "shop",
  );
}

/** Everything that a restore could leave changed. */
function look(server: PostgresServer): string {
  return [
    server.execute(
      "SELECT oid, datname, datallowconn, datconnlimit, datdba FROM pg_database ORDER BY oid; SELECT rolname FROM pg_roles ORDER BY 1",
    ),
    server.execute("SELECT count(*), md5(string_agg(n::text, '' ORDER BY id)) FROM note n", "shop"),
  ].join("");
}

function isFailure(code: ErrorCode, message: RegExp, hint: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    assert.equal(error.code, code);
    return true;
  };
}

async function alter(entry: StoredEntry | undefined, change: (text: string) => string): Promise<StoredEntry> {
  assert.ok(entry !== undefined);
  return storeEntry(entry, Buffer.from(change((await readEntry(entry)).toString("latin1")), "latin1"));
}

for (const major of majors) {
  for (const when of ["before", "after"] as const) {
    test(`A14 PostgreSQL ${major}: a restore that stops ${when} any of its records is rolled back, twice`, async (t) => {
      await using server = await openPostgres(major);
      fill(server);
      const options = server.options({ database: "shop", binDir: server.binDir });
      const directory = makeTestDirectory(t);
      const { entries } = await dumpAll(driver, options, directory);
      server.execute("DELETE FROM note WHERE id > 5", "shop");
      const before = look(server);
      const ops: string[] = [];
      for (let stopAt = 0, ended = false; !ended; stopAt += 1) {
        const recorded: SwapStep[] = [];
        ended = true;
        const record = (step: SwapStep): void => {
          const stops = recorded.length === stopAt;
          if (!stops || when === "after") recorded.push(JSON.parse(JSON.stringify(step)) as SwapStep);
          if (!stops) return;
          ops.push(String(step["op"]));
          ended = false;
          throw new Stop();
        };
        await restoreAll(driver, options, directory, entries, { record }).catch((error: unknown) => {
          if (!(error instanceof Stop)) throw error;
        });
        for (let times = 0; times < 2; times += 1) {
          await driver.rollBack(recorded, quiet, options);
          assert.equal(look(server), before, `stopped ${when} record ${stopAt}`);
        }
      }
      assert.deepEqual(ops, ["create", "block", "swap"]);
    });
  }

  test(`A14 PostgreSQL ${major}: what is done by the server and not by us any more is undone too`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const directory = makeTestDirectory(t);
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("DELETE FROM note WHERE id > 5", "shop");
    const before = look(server);
    const { steps } = await restoreAll(driver, options, directory, entries);
    const swap = steps.find(({ op }) => op === "swap");
    assert.ok(swap !== undefined);
    // A roll-back that died half-way: only one of its statements was done.
    server.execute(`ALTER DATABASE shop ALLOW_CONNECTIONS false`);
    server.execute(
      `BEGIN; ALTER DATABASE shop RENAME TO "${String(swap["staged"])}"; ALTER DATABASE "${String(swap["aside"])}" RENAME TO shop; COMMIT`,
    );
    await driver.rollBack(steps, quiet, options);
    assert.equal(look(server), before);
    await assert.rejects(
      driver.rollBack(steps, quiet),
      isFailure("restore-stuck", /shop was, or is, shop_holdfast_old_/, /back into the config/),
    );
  });

  test(`PostgreSQL ${major}: who is connected during the swap is cut off and finds the restored data`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const directory = makeTestDirectory(t);
    const { entries } = await dumpAll(driver, options, directory);
    server.execute("DELETE FROM note", "shop");
    // An application that connects again at once, for ever.
    const psql = join(server.binDir, "psql");
    const loop = `while :; do ${psql} -X -c 'SELECT pg_sleep(60)'; done`;
    const env = {
      PGHOST: server.socketDirectory,
      PGPORT: String(server.port),
      PGUSER: "ann",
      PGDATABASE: "shop",
      PATH: process.env["PATH"],
    };
    const client = spawn("sh", ["-c", loop], { env, stdio: "ignore", detached: true });
    const count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ann' AND datname = 'shop'";
    try {
      while (server.execute(count) !== "1\n") await delay(20);
      const { steps } = await restoreAll(driver, options, directory, entries);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "500\n");
      while (server.execute(count) !== "1\n") await delay(20);
      await driver.rollBack(steps, quiet, options);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "0\n");
      while (server.execute(count) !== "1\n") await delay(20);
    } finally {
      process.kill(-(client.pid ?? 0), "SIGKILL");
      await once(client, "exit");
    }
  });

  test(`F39 PostgreSQL ${major}: an error while a dump is loaded leaves everything as it was`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    const directory = makeTestDirectory(t);
    for (const format of ["custom", "plain"] as const) {
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const before = look(server);
      // The primary key is made at the end: then all rows are there.
      const twice = await alter(entries[0], (text) =>
        text.replace("2\tc81e728d9d4c2f636f067f89cc14862c", "1\tc81e728d9d4c2f636f067f89cc14862c"),
      );
      await assert.rejects(
        restoreAll(driver, options, directory, [twice]),
        isFailure("restore-failed", /^Cannot restore "member": .*could not create unique index "note_pkey"/, /^/),
      );
      assert.equal(look(server), before);
    }
  });

  test(`F38 F4 PostgreSQL ${major}: a dump that is cut is not loaded`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    const directory = makeTestDirectory(t);
    for (const [format, message] of [
      ["plain", /has not the line that ends a dump/],
      ["custom", /could not read|unexpected end/],
    ] as const) {
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const before = look(server);
      const cut = await alter(entries[0], (text) => text.slice(0, Math.floor(text.length * 0.7)));
      await assert.rejects(restoreAll(driver, options, directory, [cut]), (error) => {
        assert.ok(error instanceof HoldfastError);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(look(server), before);
    }
  });

  test(`F40 PostgreSQL ${major}: a role, an extension or a tablespace that is missing is told before anything is made`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", binDir: server.binDir, format: "plain" });
    server.execute(`CREATE ROLE "b o""b"; ALTER TABLE note OWNER TO "b o""b"`, "shop");
    const { entries } = await dumpAll(driver, options, directory);
    server.execute(`ALTER TABLE note OWNER TO ann; DROP ROLE "b o""b"`, "shop");
    const before = look(server);
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
        restoreAll(driver, options, directory, [await alter(sound[0], change)]),
        isFailure("target-unsafe", message, hint),
      );
    assert.equal(look(server), before);
  });

  test(`PostgreSQL ${major}: a role that may not create databases, a template and a prepared transaction are refused with the remedy`, async (t) => {
    await using server = await openPostgres(major, { config: ["max_prepared_transactions = 5"] });
    fill(server);
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
    fill(server);
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
    await driver.settle((await restoreAll(driver, options, directory, entries)).steps, quiet, options);
    assert.equal(server.execute("SELECT count(*), current_database() FROM note", "shop"), "500|shop\n");
  });

  test(`PostgreSQL ${major}: a full disk of the server, or pg_restore killed, leaves everything as it was`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    fillTable(server, "shop", "large", 8);
    const directory = makeTestDirectory(t);
    const options = server.options({ database: "shop", binDir: server.binDir });
    const { entries } = await dumpAll(driver, options, directory);
    const before = look(server);
    // Killed while it loads.
    const { contents } = await checkAll(driver, entries, directory);
    await using datastore = await driver.configure(options).open(makeContext(directory));
    {
      await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
      const staged = session.stage(each(entries.map((entry) => ({ ...entry, contents }))), quiet);
      const failed = assert.rejects(staged, isFailure("restore-failed", /pg_restore was killed by SIGKILL/, /^/));
      for (let killed = false; !killed; await delay(5)) {
        const pids = execFileSync("sh", ["-c", `pgrep -x pg_restore -P ${process.pid} || true`], { encoding: "utf8" }).trim();
        const restores = server.execute(
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast' AND datname ~ '_holdfast_'",
        );
        if (pids === "" || restores === "0\n") continue;
        for (const pid of pids.split("\n")) process.kill(Number(pid), "SIGKILL");
        killed = true;
      }
      await failed;
    }
    assert.equal(look(server), before);
    // A tablespace on a disk of four megabytes takes the new database.
    const disk = join(directory, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", disk]);
    using _ = { [Symbol.dispose]: () => execFileSync("umount", ["-l", disk]) };
    chmodSync(disk, 0o777);
    execFileSync("chown", ["postgres", disk]);
    server.execute(`CREATE TABLESPACE small LOCATION '${disk}'`);
    server.execute("DROP TABLE large", "shop");
    server.execute("ALTER DATABASE shop SET TABLESPACE small");
    const small = look(server);
    await assert.rejects(restoreAll(driver, options, directory, entries), isFailure("no-space", /No space left on device/, /Free space/));
    assert.equal(look(server), small);
  });
}

test("what is backed up only in part replaces no whole database, and a new one may be made of it", async (t) => {
  await using server = await openPostgres(15);
  fill(server);
  server.execute("CREATE TABLE other (id int); INSERT INTO other VALUES (1)", "shop");
  const directory = makeTestDirectory(t);
  for (const part of [{ tables: ["note"] }, { excludeTableData: ["other"] }, { schemaOnly: true }, { largeObjects: false }]) {
    const options = server.options({ database: "shop", ...part });
    const { entries } = await dumpAll(driver, options, directory);
    const before = look(server);
    const refusal = isFailure("target-unsafe", /backs up only a part.*lost with shop/, /another name/);
    await assert.rejects(restoreAll(driver, options, directory, entries), refusal);
    assert.equal(look(server), before);
    const copy = { ...options, restoreConnection: { database: "copy" } };
    const { steps } = await restoreAll(driver, copy, directory, entries);
    await driver.rollBack(steps, quiet, copy);
  }
});

test("F37 a dump of newer tools than are installed is refused, and says what to install", async (t) => {
  await using old = await openPostgres(15);
  await using recent = await openPostgres(18);
  fill(old);
  fill(recent);
  const directory = makeTestDirectory(t);
  const { entries } = await dumpAll(driver, recent.options({ database: "shop", binDir: recent.binDir }), directory);
  const before = look(old);
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
  assert.equal(look(old), before);
  // Upwards it goes.
  const { entries: older } = await dumpAll(driver, options, directory);
  recent.execute("DELETE FROM note", "shop");
  await restoreAll(driver, recent.options({ database: "shop", binDir: recent.binDir }), directory, older);
  assert.equal(recent.execute("SELECT count(*) FROM note", "shop"), "500\n");
});
