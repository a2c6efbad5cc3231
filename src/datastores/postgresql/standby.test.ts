import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { fillTable, majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { isFailure } from "../../../test/support/postgres-restore.ts";
import { openStandby } from "../../../test/support/postgres-standby.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const replication = { hba: ["local replication all trust"] };

async function waitForReplay(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const lsn = primary.execute("SELECT pg_current_wal_lsn()").trim();
  const isThere = `SELECT pg_last_wal_replay_lsn() >= '${lsn}'`;
  await waitUntil("what the primary has written, in the standby", () => standby.execute(isThere) === "t\n");
}

for (const major of majors) {
  test(`PostgreSQL ${major}: a standby is backed up in every format, and gets no restore`, async (t) => {
    await using primary = await openPostgres(major, replication);
    primary.execute("CREATE DATABASE shop");
    primary.execute("CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note SELECT generate_series(1, 5000)", "shop");
    await using standby = await openStandby(primary);
    await waitForReplay(primary, standby);
    const directory = makeTestDirectory(t);
    const options = standby.options({ database: "shop", binDir: standby.binDir });
    await using datastore = await driver.configure(options).open(makeContext(directory));
    assert.match((await datastore.probe(quiet)).summary, /, a standby, database shop/);
    for (const format of ["plain", "directory", "sqlite", "custom"]) {
      const { entries } = await dumpAll(driver, { ...options, format }, directory);
      const { contents } = await checkAll(driver, entries, directory);
      assert.equal(contents.counts["rows.public.note"], 5000, format);
      if (format === "sqlite") continue;
      await assert.rejects(restoreAll(driver, { ...options, format }, directory, entries), {
        code: "target-unsafe",
        message: /is a standby, which cannot be written to/,
        hint: /primary.*restoreConnection/,
      });
    }
    const whole = await dumpAll(driver, standby.options({ format: "cluster", binDir: standby.binDir }), directory);
    assert.equal((await checkAll(driver, whole.entries, directory)).contents.counts["rows.shop.public.note"], 5000);
    // To its primary it goes, and the standby follows.
    const { entries } = await dumpAll(driver, options, directory);
    primary.execute("DELETE FROM note WHERE id > 3", "shop");
    await waitForReplay(primary, standby);
    const toPrimary = { ...options, restoreConnection: { port: primary.port } };
    const target = await driver.configure(toPrimary).open(makeContext(directory));
    await using session = await target.openRestore({ kind: "original" }, { absent: false }, quiet);
    const { notes } = await session.inspect(quiet);
    assert.match(notes.find(({ code }) => code === "standbys")?.message ?? JSON.stringify(notes), /walreceiver/);
    // What the standby has is what the primary has, as the database that the restore has made proves.
    await session.stage(each(entries), quiet);
    const { contents } = await checkAll(driver, entries, directory);
    await session.assertSaved?.({ status: "ok", contents, entries }, quiet);
    const exporting = await driver.configure({ ...toPrimary, format: "sqlite" }).open(makeContext(directory));
    await using anImport = await exporting.openRestore({ kind: "original" }, { absent: false }, quiet);
    await assert.rejects(anImport.inspect(quiet), isFailure("target-unsafe", /backups are made of a standby/, /backs up the primary/));
    const { steps } = await restoreAll(driver, toPrimary, directory, entries);
    await driver.settle(steps, quiet, toPrimary);
    await waitForReplay(primary, standby);
    assert.equal(standby.execute("SELECT count(*) FROM note", "shop"), "5000\n");
  });

  test(`F34 PostgreSQL ${major}: a standby that cancels the dump for what it has to replay is a failure that says so`, async (t) => {
    await using primary = await openPostgres(major, replication);
    primary.execute("CREATE DATABASE shop");
    fillTable(primary, "shop", "large", 30);
    await using standby = await openStandby(primary, ["max_standby_streaming_delay = 0", "hot_standby_feedback = off"]);
    await waitForReplay(primary, standby);
    const directory = makeTestDirectory(t);
    const options = standby.options({ database: "shop", binDir: standby.binDir });
    // The dump holds a lock that this asks for.
    const firstBytes = (): void => {
      primary.execute("TRUNCATE large", "shop");
      const lsn = primary.execute("SELECT pg_current_wal_lsn()").trim();
      // Replaying it ends the dump, as soon as that goes on.
      for (let left = 500; standby.execute(`SELECT pg_last_wal_receive_lsn() >= '${lsn}'`) !== "t\n"; left -= 1) assert.ok(left > 0);
    };
    await assert.rejects(dumpAll(driver, options, directory, { firstBytes }), {
      code: "source-changed",
      message: /^Cannot dump "member": .*conflict with recovery/,
      hint: /primary.*hot_standby_feedback.*max_standby_streaming_delay/,
      retryable: true,
    });
  });
}
