import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { dumpAll, makeTestDirectory } from "../../../test/support/datastore.ts";
import { majors, makeDockerStandIn, openPostgres } from "../../../test/support/postgres.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

for (const major of majors) {
  test(`F35 W7 PostgreSQL ${major}: a dump in a container that is stopped waits for no lock any more`, async (t) => {
    await using server = await openPostgres(major);
    server.execute("CREATE DATABASE shop; CREATE ROLE reader LOGIN IN ROLE pg_read_all_data");
    server.execute("CREATE TABLE note (id int)", "shop");
    makeDockerStandIn(t, server, "db");
    const env = { ...process.env, PGHOST: server.socketDirectory, PGPORT: String(server.port), PGUSER: "postgres", PGDATABASE: "shop" };
    const locker = spawn(join(server.binDir, "psql"), ["-X", "-q", "-A", "-t"], { env });
    t.after(() => locker.kill());
    locker.stdin.write("begin; lock table note in access exclusive mode; select 'locked';\n");
    await once(locker.stdout, "data");
    const count = (condition: string): string =>
      server.execute(`SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^holdfast' AND ${condition}`);
    const ways = [
      { format: "custom", user: "reader", database: "shop" },
      { format: "cluster", user: "postgres" },
      { format: "custom", user: "reader", database: "shop", maxDuration: "2s" },
    ];
    for (const way of ways) {
      const abort = new AbortController();
      const options = { ...way, via: { docker: "db" }, lockTimeout: "1h", waitFor: "0s" };
      const code = "maxDuration" in way ? "timeout" : "cancelled";
      const stopped = assert.rejects(dumpAll(driver, options, makeTestDirectory(t), { signal: abort.signal }), { code });
      if (code === "cancelled") {
        await waitUntil("a dump that waits for the lock", () => count("wait_event_type = 'Lock'") !== "0\n");
        abort.abort();
      }
      await stopped;
      await waitUntil("the end of the dump's sessions", () => count("true") === "0\n");
    }
    // Nobody else was ended.
    locker.stdin.end("rollback; select 'here';\n");
    await once(locker, "close");
    assert.equal(locker.exitCode, 0);
  });
}
