import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { dumpAll, listLeftovers, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { startRedis, type RedisServer } from "../../../test/support/redis.ts";
import type { SwapStep } from "../contract.ts";
import { redisDriver } from "./redis.ts";

/** Replaces the files of a stopped server, up to where the power goes: before something is put in place, or at the end. */
async function interrupt(t: TestContext, server: RedisServer, at: "place" | "end"): Promise<readonly SwapStep[]> {
  server.call("SET", "backed-up", "1");
  const directory = makeTestDirectory(t);
  const { entries } = await dumpAll(redisDriver, server.options(), directory);
  server.call("SET", "former", "1");
  await server.stop("shutdown");
  const done: SwapStep[] = [];
  const record = (step: SwapStep): void => {
    if (at === "place" && step["op"] === "place") throw new Error("no power");
    done.push(JSON.parse(JSON.stringify(step)) as SwapStep);
  };
  const restoring = restoreAll(redisDriver, server.options(), directory, entries, { record });
  if (at === "end") await restoring;
  else await assert.rejects(restoring, /no power/);
  return done;
}

for (const aof of ["no", "yes"] as const) {
  for (const at of ["place", "end"] as const) {
    for (const knows of ["its options", "no options"] as const) {
      test(`F1 F59 G6 former files (appendonly ${aof}, power gone at ${at}, ${knows}) are not put back under a server that was started meanwhile`, async (t) => {
        const server = await startRedis(t, { config: ["save 3600 1", `appendonly ${aof}`] });
        const steps = await interrupt(t, server, at);
        const options = knows === "its options" ? server.options() : undefined;
        await server.start();
        const left = listLeftovers(server.directory);
        for (let time = 0; time < 2; time += 1) {
          await assert.rejects(redisDriver.rollBack(steps, quiet, options), {
            code: "restore-stuck",
            message: /was started meanwhile/,
            hint: /^Stop the server/,
          });
        }
        assert.deepEqual(listLeftovers(server.directory), left);
        // A crash: it writes nothing more over what it found.
        await server.stop("kill");
        if (at === "end" || aof === "no") await redisDriver.rollBack(steps, quiet, options);
        else {
          // It has made append-only files of its own, in the name of the former ones.
          await assert.rejects(redisDriver.rollBack(steps, quiet, options), { code: "restore-stuck", hint: /move .*appendonlydir away/ });
          return;
        }
        assert.deepEqual(listLeftovers(server.directory), []);
        await server.start();
        assert.equal(server.call("GET", "former"), "1");
        // Once all is put back it may run.
        await redisDriver.rollBack(steps, quiet, options);
      });
    }
  }
}
