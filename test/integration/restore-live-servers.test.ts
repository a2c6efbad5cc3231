import assert from "node:assert/strict";
import { test } from "node:test";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { isLong } from "../support/kill-campaign.ts";
import { openPostgres, type PostgresServer } from "../support/postgres.ts";
import { openRedis, type RedisServer } from "../support/redis.ts";
import { openRestoreBed } from "../support/restore-bed.ts";
import { openPostgresWriter, openRedisWriter, type WritingClient } from "../support/writing-clients.ts";

// Nobody stops the applications: they write before, during and after the restore, and connect again when they are cut off.
const timeout = 120_000;
const failingCheck: RestoreSetup["check"] = [{ kind: "command", command: ["false"], timeoutMs: 10_000, retryForMs: 0 }];

/** They saw the one, then the other, and never the first again. */
function assertOrder(writers: readonly WritingClient[], generations: readonly string[]): void {
  for (const { acknowledged } of writers) {
    const seen = acknowledged.map(({ generation }) => generation);
    const changes = seen.filter((generation, index) => generation !== seen[index - 1]);
    assert.deepEqual(changes, generations);
  }
}

function assertNoneLost(writers: readonly WritingClient[], generation: string, there: ReadonlySet<string>): void {
  const written = writers.flatMap(({ acknowledged }) => acknowledged).filter((each) => each.generation === generation);
  const lost = written.filter(({ number }) => !there.has(String(number)));
  assert.deepEqual(lost, [], `${lost.length} of ${written.length} writes of the generation "${generation}" are lost`);
  assert.ok(written.length >= 20);
}

/**
 * What a client may be told while the database that it uses gives way to another one. That there is none is never said, but to a connection
 * that the server had begun to make in the very moment of the renaming.
 */
const cutOff =
  /just been dropped or renamed|terminating connection|Connection terminated|not (currently )?accepting connections|ECONNRESET|EPIPE|shut ?down|not queryable/i;

function assertCutOff(writers: readonly WritingClient[], allowed: RegExp): void {
  for (const { refusals } of writers) for (const refusal of refusals) assert.match(refusal, allowed);
}

function readWritten(server: PostgresServer): ReadonlySet<string> {
  return new Set(server.execute("SELECT number FROM written", "shop").split("\n"));
}

async function openWriters(open: (first: number) => Promise<WritingClient>): Promise<readonly WritingClient[] & AsyncDisposable> {
  await using resources = new AsyncDisposableStack();
  const writers: WritingClient[] = [];
  for (const first of [1_000_000, 2_000_000, 3_000_000]) writers.push(resources.use(await open(first)));
  await Promise.all(writers.map((writer) => writer.waitForWrites(20)));
  const owned = resources.move();
  return Object.assign(writers, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

async function stopWriters(writers: readonly WritingClient[]): Promise<void> {
  await Promise.all(writers.map((writer) => writer[Symbol.asyncDispose]()));
}

const parts = ["generation", "written"];
const ways = {
  "a database, custom": [{}, {}],
  "a database, plain": [{ format: "plain" }, {}],
  "two tables": [{}, { parts }],
  "the rows of a SQLite export": [{ format: "sqlite" }, {}],
} as const;

const cases = Object.entries(ways).flatMap(([title, way]) => (["done", "rolled back"] as const).map((end) => ({ title, way, end })));

for (const { title, way, end } of isLong ? cases : pickPoints(cases, 1, readSeed(), "live servers")) {
  const [extra, facts] = way;
  test(
    `F32 F59 D5 G6 PostgreSQL, ${title}, ${end}: clients that reconnect see one generation, then the other, and no acknowledged write is lost`,
    { timeout },
    async () => {
      await using server = await openPostgres(15);
      server.execute("CREATE DATABASE shop");
      server.execute(
        `CREATE TABLE generation (name text PRIMARY KEY); INSERT INTO generation VALUES ('backed up');
         CREATE TABLE written (number bigint PRIMARY KEY, generation text); INSERT INTO written SELECT n, 'backed up' FROM generate_series(1, 2000) n`,
        "shop",
      );
      await using bed = await openRestoreBed("postgresql");
      const pg = server.options({ database: "shop", binDir: server.binDir, ...extra });
      const backup = await bed.backup({ pg });
      server.execute("UPDATE generation SET name = 'present'", "shop");
      const { user, password } = server.options() as { readonly user: string; readonly password: string };
      const login = { host: "127.0.0.1", port: server.port, user, password, database: "shop" };
      await using writers = await openWriters((first) => openPostgresWriter(login, first));
      if (end === "done") await bed.restore(backup, { pg }, facts);
      else await assert.rejects(bed.restore(backup, { pg }, { ...facts, check: failingCheck }), { code: "restore-failed" });
      await Promise.all(writers.map((writer) => writer.waitForWrites(20)));
      await stopWriters(writers);
      assertCutOff(writers, cutOff);
      if (end === "done") assertOrder(writers, ["present", "backed up"]);
      assertNoneLost(writers, end === "done" ? "backed up" : "present", readWritten(server));
      assert.equal(server.execute("SELECT name FROM generation", "shop").trim(), end === "done" ? "backed up" : "present");
    },
  );
}

function readKeys(server: RedisServer): ReadonlySet<string> {
  return new Set(
    server
      .call("KEYS", "written:*")
      .split("\n")
      .map((key) => key.replace("written:", "")),
  );
}

for (const end of ["done", "rolled back"] as const) {
  test(`F47 F59 G6 Redis, ${end}: clients see one generation, then the other, and no acknowledged write is lost`, { timeout }, async () => {
    await using server = await openRedis({ config: ["appendonly yes"] });
    server.call("SET", "generation", "backed up");
    server.call("EVAL", "for i = 1, 3000 do redis.call('SET', 'key:' .. i, string.rep('x', 200)) end", "0");
    await using bed = await openRestoreBed("redis");
    const cache = server.options();
    const backup = await bed.backup({ cache });
    server.call("SET", "generation", "present");
    await using writers = await openWriters((first) => openRedisWriter(server.socket, first));
    if (end === "done") await bed.restore(backup, { cache });
    else await assert.rejects(bed.restore(backup, { cache }, { check: failingCheck }), { code: "restore-failed" });
    await Promise.all(writers.map((writer) => writer.waitForWrites(20)));
    await stopWriters(writers);
    assertCutOff(writers, /READONLY|LOADING|MASTERDOWN|EXECABORT|Connection is closed|UNBLOCKED|CLUSTERDOWN/);
    if (end === "done") assertOrder(writers, ["present", "backed up"]);
    assertNoneLost(writers, end === "done" ? "backed up" : "present", readKeys(server));
    // What it would have after a crash is what it has.
    const keys = server.call("DBSIZE");
    await server.stop("kill");
    await server.start();
    assert.equal(server.call("DBSIZE"), keys);
  });
}
