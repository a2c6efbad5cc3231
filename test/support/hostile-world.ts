import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runDrill } from "../../src/operations/drill.ts";
import { runRestore } from "../../src/operations/restore.ts";
import { runVerify } from "../../src/operations/verify.ts";
import {
  addressBackup,
  describeRestore,
  listTree,
  makeWorld,
  never,
  quietPorts,
  readTree,
  worldPaths,
  type DatastoreName,
  type SmallWorld,
} from "./small-world.ts";

/** Where an archive that breaks out would write. */
export const canaryOf = ({ root }: SmallWorld): string => join(root, "canary");

export interface Outcome {
  readonly verify: string;
  readonly drill: string;
  readonly restore: string;
}

/**
 * Verifies, drills and restores; a refusal gives its code. Nothing outside the target may change, whatever they do.
 * @param staged whether what is refused may have been staged beside the data before: databases are by default
 */
export async function tryAll(
  world: SmallWorld,
  backup: BackupResult,
  datastores: readonly DatastoreName[],
  staged = datastores.includes("memory"),
): Promise<Outcome> {
  const { root } = world;
  const { app, staging } = worldPaths(root);
  const canary = readTree(canaryOf(world), "times");
  const outside = listOutside(root);
  const data = readTree(app, "times");
  const setup = { host: "host", version: "0", stagingDir: join(staging, "h"), address: addressBackup(world, backup) };
  const verify = await tellCode(() => runVerify(setup, quietPorts, never));
  const drill = await tellCode(() => runDrill(setup, quietPorts, never));
  assert.equal(readTree(app, "times"), data, "the drill touched the data");
  const restore = await tellCode(() => runRestore(describeRestore(world, backup, datastores), quietPorts, never));
  if (restore !== "ok") assert.equal(timeless(readTree(app, "times")), timeless(data), `refused with ${restore}, but the data was touched`);
  assert.equal(readTree(canaryOf(world), "times"), canary, "something outside was touched");
  assert.deepEqual(listOutside(root), outside, "something was written beside the data");
  for (const name of listTree(app)) {
    const stats = lstatSync(join(app, name));
    assert.ok(!stats.isBlockDevice() && !stats.isCharacterDevice(), `a device: ${name}`);
    // Of a directory set-id bits are no danger, and groups rely on them.
    if (stats.isFile()) assert.equal(stats.mode & 0o6000, 0, `set-id: ${name}`);
  }
  return { verify, drill, restore };

  // The copy is taken away again, which the directory's time shows, and nothing else.
  function timeless(tree: string): string {
    return staged ? tree.replace(/^( \d+ \S+ directory) \d+/m, "$1") : tree;
  }
}

/** The journals of restores may appear. */
function listOutside(root: string): readonly string[] {
  return readdirSync(root)
    .filter((name) => name !== "state")
    .toSorted();
}

async function tellCode(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return "ok";
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    assert.notEqual(error.code, "internal", error.message);
    assert.notEqual(error.code, "restore-stuck", error.message);
    return error.code;
  }
}

export async function makeHostileWorld(): Promise<SmallWorld & AsyncDisposable> {
  const world = await makeWorld();
  mkdirSync(canaryOf(world));
  writeFileSync(join(canaryOf(world), "bird"), "sings");
  return world;
}

export async function* once<T>(value: T): AsyncGenerator<T, void, undefined> {
  yield await Promise.resolve(value);
}

/** Hooks as processes of our own, for all tests of a file. */
export function useDirectHooks(): void {
  let hooks: string | undefined;
  before(() => {
    hooks = process.env["HOLDFAST_HOOKS"];
    process.env["HOLDFAST_HOOKS"] = "direct";
  });
  after(() => {
    if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
    else process.env["HOLDFAST_HOOKS"] = hooks;
  });
}
