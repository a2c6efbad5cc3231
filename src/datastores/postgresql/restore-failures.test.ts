import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { fillTable, majors, openPostgres } from "../../../test/support/postgres.ts";
import { alterEntry, fillShop, isFailure, lookAtServer, openShop } from "../../../test/support/postgres-restore.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import type { SwapStep } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

class Stop extends Error {}

for (const major of majors) {
  for (const when of ["before", "after"] as const) {
    test(`A14 PostgreSQL ${major}: a restore that stops ${when} any of its records is rolled back, twice`, async (t) => {
      const { server, options, directory, entries } = await openShop(t, major);
      server.execute("DELETE FROM note WHERE id > 5", "shop");
      const before = lookAtServer(server);
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
          assert.equal(lookAtServer(server), before, `stopped ${when} record ${stopAt}`);
        }
      }
      assert.deepEqual(ops, ["create", "block", "swap"]);
    });
  }

  test(`A14 PostgreSQL ${major}: what is done by the server and not by us any more is undone too`, async (t) => {
    const { server, options, directory, entries } = await openShop(t, major);
    server.execute("DELETE FROM note WHERE id > 5", "shop");
    const before = lookAtServer(server);
    const { steps } = await restoreAll(driver, options, directory, entries);
    const swap = steps.find(({ op }) => op === "swap");
    assert.ok(swap !== undefined);
    // A roll-back that died half-way: only one of its statements was done.
    server.execute(`ALTER DATABASE shop ALLOW_CONNECTIONS false`);
    server.execute(
      `BEGIN; ALTER DATABASE shop RENAME TO "${String(swap["staged"])}"; ALTER DATABASE "${String(swap["aside"])}" RENAME TO shop; COMMIT`,
    );
    await driver.rollBack(steps, quiet, options);
    assert.equal(lookAtServer(server), before);
    await assert.rejects(
      driver.rollBack(steps, quiet),
      isFailure("restore-stuck", /shop was, or is, shop_holdfast_old_/, /back into the config/),
    );
  });

  test(`PostgreSQL ${major}: who is connected during the swap is cut off and finds the restored data`, async (t) => {
    const { server, options, directory, entries } = await openShop(t, major);
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
    const connected = () => waitUntil("the application's connection", () => server.execute(count) === "1\n");
    try {
      await connected();
      const { steps } = await restoreAll(driver, options, directory, entries);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "500\n");
      await connected();
      await driver.rollBack(steps, quiet, options);
      assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "0\n");
      await connected();
    } finally {
      process.kill(-(client.pid ?? 0), "SIGKILL");
      await once(client, "exit");
    }
  });

  test(`F39 PostgreSQL ${major}: an error while a dump is loaded leaves everything as it was`, async (t) => {
    await using server = await openPostgres(major);
    fillShop(server);
    const directory = makeTestDirectory(t);
    for (const format of ["custom", "plain"] as const) {
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const before = lookAtServer(server);
      // The primary key is made at the end: then all rows are there.
      const twice = await alterEntry(entries[0], (text) =>
        text.replace("2\tc81e728d9d4c2f636f067f89cc14862c", "1\tc81e728d9d4c2f636f067f89cc14862c"),
      );
      await assert.rejects(
        restoreAll(driver, options, directory, [twice]),
        isFailure("restore-failed", /^Cannot restore "member": .*could not create unique index "note_pkey"/, /^/),
      );
      assert.equal(lookAtServer(server), before);
    }
  });

  test(`F38 F4 PostgreSQL ${major}: a dump that is cut is not loaded`, async (t) => {
    await using server = await openPostgres(major);
    fillShop(server);
    const directory = makeTestDirectory(t);
    for (const [format, message] of [
      ["plain", /has not the line that ends a dump/],
      ["custom", /could not read|unexpected end/],
    ] as const) {
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const before = lookAtServer(server);
      const cut = await alterEntry(entries[0], (text) => text.slice(0, Math.floor(text.length * 0.7)));
      await assert.rejects(restoreAll(driver, options, directory, [cut]), (error) => {
        assert.ok(error instanceof HoldfastError);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(lookAtServer(server), before);
    }
  });

  test(`PostgreSQL ${major}: a full disk of the server, or pg_restore killed, leaves everything as it was`, async (t) => {
    const { server, options, directory, entries } = await openShop(t, major, (empty) => {
      fillShop(empty);
      fillTable(empty, "shop", "large", 8);
    });
    const before = lookAtServer(server);
    // Killed while it loads.
    const { contents } = await checkAll(driver, entries, directory);
    await using datastore = await driver.configure(options).open(makeContext(directory));
    {
      await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
      const staged = session.stage(each(entries.map((entry) => ({ ...entry, contents }))), quiet);
      const failed = assert.rejects(staged, isFailure("restore-failed", /pg_restore was killed by SIGKILL/, /^/));
      const loading = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast' AND datname ~ '_holdfast_'";
      const pids = await waitUntil(
        "a pg_restore that loads",
        () => {
          // It stands still while the server is asked: it might be done by then.
          const found = findLoaders();
          for (const pid of found) process.kill(pid, "SIGSTOP");
          if (found.length > 0 && server.execute(loading) !== "0\n") return found;
          for (const pid of found) process.kill(pid, "SIGCONT");
          return undefined;
        },
        { pollMs: 1 },
      );
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await failed;
    }
    assert.equal(lookAtServer(server), before);
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
    const small = lookAtServer(server);
    await assert.rejects(restoreAll(driver, options, directory, entries), isFailure("no-space", /No space left on device/, /Free space/));
    assert.equal(lookAtServer(server), small);
  });
}

/** The pg_restore programs of this process that load, without a program that would have to be started for it. */
function findLoaders(): readonly number[] {
  const children = readdirSync("/proc/self/task").flatMap((task) => readChildren(task).split(" "));
  return children.flatMap((pid) => (/pg_restore\0.*--exit-on-error/s.test(readCommand(pid)) ? [Number(pid)] : []));
}

const readChildren = (task: string): string => readOrNothing(`/proc/self/task/${task}/children`).trim();
const readCommand = (pid: string): string => (pid === "" ? "" : readOrNothing(`/proc/${pid}/cmdline`));

/** What has ended since has no files there. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
