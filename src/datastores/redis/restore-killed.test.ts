import assert from "node:assert/strict";
import { test } from "node:test";
import { listLeftovers, quiet } from "../../../test/support/datastore.ts";
import { assertMaster, dumpFilled, killInSwap, spoil } from "../../../test/support/redis-restore.ts";
import { findFreePort, startRedis } from "../../../test/support/redis.ts";
import { redisDriver } from "./redis.ts";

const moments = {
  "it follows the private server": /role:slave/,
  "it loads what it was sent": /loading:1/,
  "its data is replaced": /master_link_status:up|master_replid2:(?!0{40})/,
} as const;

for (const [until, pattern] of Object.entries(moments)) {
  test(`F1 G6 a restore that is killed when ${until} is rolled back, and the server takes writes again`, async (t) => {
    const server = await startRedis(t, {
      config: ["appendonly yes", "loading-process-events-interval-bytes 1024", "replica-read-only no"],
    });
    const { directory, entries } = await dumpFilled(t, server);
    spoil(server);
    // Microseconds for each key.
    if (until.includes("loads")) server.call("CONFIG", "SET", "key-load-delay", "2000");
    const spoilt = server.readDigest();
    const port = await findFreePort();
    const options = server.options({ announcePort: port });
    const steps = await killInSwap(server, directory, options, entries, pattern);
    for (let time = 0; time < 2; time += 1) {
      await redisDriver.rollBack(steps, quiet, options);
      assert.equal(server.readDigest(), spoilt);
      assertMaster(server);
      assert.match(server.call("CONFIG", "GET", "replica-read-only"), /no$/);
    }
    assert.deepEqual(listLeftovers(server.directory), []);
    await server.stop("kill");
    await server.start();
    assert.equal(server.readDigest(), spoilt);
  });
}
