import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { dumpAll, each, listLeftovers, makeContext, makeTestDirectory, quiet, type Dumped } from "../../../test/support/datastore.ts";
import { startRedis, type RedisServer } from "../../../test/support/redis.ts";
import type { RestoreSession, SwapStep } from "../contract.ts";
import { redisDriver } from "./redis.ts";

/** A server with other data than the backup that was made of it. */
async function prepare(
  t: TestContext,
  config: readonly string[],
): Promise<{ readonly server: RedisServer; readonly entries: Dumped["entries"] }> {
  const server = await startRedis(t, { config });
  server.call("SET", "backed-up", "1");
  const { entries } = await dumpAll(redisDriver, server.options(), makeTestDirectory(t));
  server.call("DEL", "backed-up");
  server.call("SET", "newer", "1");
  return { server, entries };
}

interface Opened {
  readonly session: RestoreSession;
  readonly steps: SwapStep[];
  readonly record: (step: SwapStep) => Promise<void>;
}

async function openRestore(t: TestContext, options: unknown): Promise<Opened> {
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => void steps.push(step);
  const datastore = await redisDriver.configure(options).open(makeContext(makeTestDirectory(t)));
  const session = await datastore.openRestore({ kind: "original" }, { absent: false, record }, quiet);
  t.after(() => session[Symbol.asyncDispose]());
  return { session, steps, record };
}

for (const [title, config] of [
  ["in a directory of another name", ["appendonly yes", "appenddirname aof"]],
  ["of another name, beside those of an earlier one", ["appendonly yes", "appendfilename zz.aof"]],
] as const) {
  test(`F47 append-only files ${title} are found when the server still runs as the restore begins`, async (t) => {
    const { server, entries } = await prepare(t, config);
    const { session, steps, record } = await openRestore(t, server.options());
    await session.inspect(quiet);
    await session.stage(each(entries), quiet);
    await server.stop("shutdown");
    const [directory = ""] = readdirSync(server.data).filter((name) => !name.includes("."));
    writeFileSync(join(server.data, directory, "appendonly.aof.manifest"), "file appendonly.aof.1.incr.aof seq 1 type i\n");
    assert.match((await session.inspect(quiet)).method, new RegExp(`${directory}$`));
    await session.swap(record, quiet);
    await server.start();
    await session.confirm?.(quiet);
    assert.equal(server.call("GET", "backed-up"), "1");
    await redisDriver.settle(steps, quiet, server.options());
    assert.deepEqual(listLeftovers(server.directory), []);
  });
}

test("F47 a stopped server with append-only files of several names is refused before anything is touched; what a dying server left of one does not count", async (t) => {
  const { server, entries } = await prepare(t, ["appendonly yes", "appendfilename zz.aof"]);
  await server.stop("shutdown");
  const other = join(server.data, "appendonlydir", "appendonly.aof.manifest");
  writeFileSync(other, "file appendonly.aof.1.incr.aof seq 1 type i\n");
  const refused = await openRestore(t, server.options());
  const expected = { code: "target-unsafe", message: /appendonly\.aof, zz\.aof/, hint: /appendfilename/ };
  await assert.rejects(refused.session.inspect(quiet), expected);
  rmSync(other);
  writeFileSync(join(server.data, "appendonlydir", "temp-a.aof.manifest"), "");
  const { session, steps, record } = await openRestore(t, server.options());
  assert.deepEqual((await session.inspect(quiet)).notes, []);
  await session.stage(each(entries), quiet);
  await session.swap(record, quiet);
  await server.start();
  await session.confirm?.(quiet);
  assert.equal(server.call("GET", "backed-up"), "1");
  await redisDriver.settle(steps, quiet, server.options());
});

test("F47 G6 a server that starts empty, or with its old data, beside its restored RDB: the plan warns, and the restore does not pass", async (t) => {
  for (const place of ["appendonlydir", "aof"]) {
    const { server, entries } = await prepare(t, ["appendonly yes", `appenddirname ${place}`]);
    await server.stop("shutdown");
    if (place === "appendonlydir") for (const name of readdirSync(server.data)) rmSync(join(server.data, name), { recursive: true });
    const { session, steps, record } = await openRestore(t, server.options());
    const [note] = (await session.inspect(quiet)).notes;
    assert.match(note?.message ?? "", /appendonly yes.*set aofDir/);
    await session.stage(each(entries), quiet);
    await session.swap(record, quiet);
    // Nobody has started it.
    await session.confirm?.(quiet);
    await server.start();
    assert.equal(server.call("EXISTS", "backed-up"), "0");
    await assert.rejects(async () => session.confirm?.(quiet), { code: "restore-failed", message: /appendonly yes/, hint: /aofDir/ });
    await server.stop("kill");
    await redisDriver.rollBack(steps, quiet, server.options());
    const options = server.options({ aofDir: join(server.data, place) });
    const again = await openRestore(t, options);
    assert.deepEqual((await again.session.inspect(quiet)).notes, []);
    await again.session.stage(each(entries), quiet);
    await again.session.swap(again.record, quiet);
    await server.start();
    await again.session.confirm?.(quiet);
    assert.equal(server.call("GET", "backed-up"), "1");
    await redisDriver.settle(again.steps, quiet, options);
  }
});
