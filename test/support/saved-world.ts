import { after, before } from "node:test";
import type { BackupResult } from "../../src/operations/backup.ts";
import { backUp, changeWorld, makeWorld, type SmallWorld } from "./small-world.ts";

/** For a suite: a world whose loose files are backed up and have changed since. Its tests work on copies. Both are there from `before` on. */
export function useSavedWorld(): { readonly world: SmallWorld; readonly backup: BackupResult } {
  const made: { world?: SmallWorld & AsyncDisposable; backup?: BackupResult } = {};
  before(async () => {
    made.world = await makeWorld();
    made.backup = await backUp(made.world, "directory", ["loose"]);
    changeWorld(made.world);
  });
  after(async () => {
    await made.world?.[Symbol.asyncDispose]();
  });
  const get = <Value>(value: Value | undefined): Value => {
    if (value === undefined) throw new Error("asked for before the suite began");
    return value;
  };
  return {
    get world() {
      return get(made.world);
    },
    get backup() {
      return get(made.backup);
    },
  };
}
