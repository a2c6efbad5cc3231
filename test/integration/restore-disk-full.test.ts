import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import { readRestoreJournal } from "../../src/operations/restore-journal.ts";
import { runRestore } from "../../src/operations/restore.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { isLong } from "../support/kill-campaign.ts";
import { restartServers } from "../support/server-campaign.ts";
import {
  describeServerRestore,
  openPostgresData,
  openRedisData,
  openServerWorld,
  sweepStaging,
  type ServerWorld,
} from "../support/server-world.ts";
import { openSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { never, quietPorts, worldPaths } from "../support/small-world.ts";

const { HOLDFAST_HOOKS: hooks } = process.env;
before(() => {
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = hooks;
});

const kib = 1024;
const seed = readSeed();
/** Each leaves the restore a little more room, so that it comes a little further. */
const pick = (sizes: readonly number[]): readonly number[] => (isLong ? sizes : pickPoints(sizes, 1, seed, `sizes from ${sizes[0]}`));
const small = pick([4, 8, 16, 32, 64, 128, 256, 1024].map((size) => size * kib));
const timeout = isLong ? 1_800_000 : 120_000;

interface Prepared extends Disposable {
  readonly setup: RestoreSetup;
  /** What a failure says; of want of space by default. A server may say that it could not do this or that, and why in its log only. */
  readonly told?: RegExp;
}

/**
 * Restores with so little room; afterwards all is old, and told as a want of space, or all is new. Where even ending it wants room, it has
 * ended at the first start that finds some.
 */
async function tryWithLittle(t: TestContext, world: ServerWorld, prepared: Prepared, old: string, where: string): Promise<void> {
  const { setup } = prepared;
  let failure: unknown;
  await runRestore(setup, quietPorts, never).catch((error: unknown) => {
    failure = error;
  });
  const told = failure instanceof Error ? failure.message : "done";
  t.diagnostic(`${where}: ${told.slice(0, 200)}`);
  const records = await readRestoreJournal(setup.journalDir, setup.restoreId);
  const isEnded = records.length === 0 || records.at(-1)?.type === "end";
  if (isEnded) assert.deepEqual(await restartServers(world, "none"), [], where);
  prepared[Symbol.dispose]();
  if (!isEnded) {
    const outcomes = (await restartServers(world, "none")).map(({ outcome }) => outcome);
    assert.deepEqual(outcomes, [failure === undefined ? "done" : "rolled-back"], where);
  }
  if (failure === undefined) assert.notEqual(world.data.read(), old, where);
  else {
    assert.ok(failure instanceof HoldfastError, `${where}: ${told}`);
    assert.match(told, prepared.told ?? /space|ENOSPC|full|must stay so/i, where);
    assert.equal(world.data.read(), old, where);
  }
  const [end] = records.filter(({ type }) => type === "end");
  if (end?.type === "end") assert.equal(end.outcome, failure === undefined ? "done" : "rolled-back", where);
  assert.ok(existsSync(worldPaths(world.root).running), where);
  assert.deepEqual(world.data.listLeftovers(), [], where);
}

async function tryAll(
  t: TestContext,
  world: ServerWorld,
  sizes: readonly number[],
  prepare: (bytes: number) => Promise<Prepared>,
): Promise<void> {
  const old = world.data.read();
  for (const bytes of sizes) {
    await tryWithLittle(t, world, await prepare(bytes), old, `${bytes / kib} KiB`);
    if (world.data.read() !== old) await world.data.change();
    assert.equal(world.data.read(), old);
  }
  // Room is all that was missing.
  sweepStaging(world);
  await runRestore(describeServerRestore(world), quietPorts, never);
  assert.notEqual(world.data.read(), old);
}

const kinds = {
  PostgreSQL: () => openPostgresData({ options: { database: "shop" } }),
  "PostgreSQL, SQLite export": () => openPostgresData({ options: { database: "shop", format: "sqlite" } }),
  Redis: () => openRedisData({ during: "running", config: ["appendonly yes"] }),
};

for (const [title, open] of isLong ? Object.entries(kinds) : pickPoints(Object.entries(kinds), 1, seed, "kinds")) {
  test(`F14 F59 G6 ${title}: the disk of the staging directory is full`, { timeout }, async (t) => {
    await using world = await openServerWorld(open);
    await tryAll(t, world, small, async (bytes) => {
      const disk = openSmallDisk(world.bed.staging, bytes);
      return { setup: describeServerRestore(world), [Symbol.dispose]: () => removeDisk(disk, world.bed.staging) };
    });
  });

  test(`F14 F59 G6 ${title}: the disk of the pre-restore backup is full`, { timeout }, async (t) => {
    await using world = await openServerWorld(open);
    await tryAll(t, world, small, async (bytes) => {
      const disk = openSmallDisk(join(world.root, "small"), 4096 * kib);
      const setup = describeServerRestore(world);
      const destination = { ...setup.preRestore.destination, name: "small", options: { path: disk.path } };
      {
        await using opened = await localDestination.configure(destination.options).open({ name: "small" });
        await opened.initialize("init", never);
      }
      disk.leave(bytes);
      return { setup: { ...setup, preRestore: { ...setup.preRestore, destination } }, [Symbol.dispose]: () => disk[Symbol.dispose]() };
    });
  });

  test(`F14 F59 G6 ${title}: the disk of the journal is full`, { timeout }, async (t) => {
    await using world = await openServerWorld(open);
    const { journals } = worldPaths(world.root);
    await tryAll(t, world, pick([0, 4, 8, 12, 16, 20].map((size) => size * kib)), async (bytes) => {
      const disk = openSmallDisk(journals, 64 * kib);
      disk.leave(bytes);
      return { setup: describeServerRestore(world), [Symbol.dispose]: () => disk[Symbol.dispose]() };
    });
  });
}

function removeDisk(disk: SmallDisk, path: string): void {
  disk[Symbol.dispose]();
  mkdirSync(path, { mode: 0o700 });
}

const mib = 1024 * kib;
const serverFull =
  /No space left|ENOSPC|could not write|checkpoint request failed|background save failed|MISCONF|refuses|append-only file|could not extend/;

test("F14 F39 F59 G6 PostgreSQL: the server's own disk is full", { timeout }, async (t) => {
  const path = mkdtempSync(join(tmpdir(), "tablespace-"));
  using disk = openSmallDisk(path, 64 * mib);
  const place = join(path, "space");
  mkdirSync(place);
  await using world = await openServerWorld(() => openPostgresData({ options: { database: "shop" }, tablespace: place }));
  await tryAll(t, world, pick([0, 1, 2, 4, 6, 7, 7.25, 7.5, 8, 16].map((size) => size * mib)), async (bytes) => {
    disk.leave(bytes);
    return { setup: describeServerRestore(world), told: serverFull, [Symbol.dispose]: () => disk.leave(64 * mib) };
  });
});

test("F14 F47 F59 G6 Redis: the server's own disk is full", { timeout }, async (t) => {
  const path = mkdtempSync(join(tmpdir(), "redis-disk-"));
  using disk = openSmallDisk(path, 16 * mib);
  const open = () => openRedisData({ during: "running", config: ["appendonly yes"], directory: join(path, "redis") });
  await using world = await openServerWorld(open);
  await tryAll(t, world, [16 * kib, ...pick([0, 4, 8, 32, 64, 1024].map((size) => size * kib))], async (bytes) => {
    disk.leave(bytes);
    return { setup: describeServerRestore(world), told: serverFull, [Symbol.dispose]: () => disk.leave(16 * mib) };
  });
});
