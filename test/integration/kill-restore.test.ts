import { after, before, describe, test } from "node:test";
import type { BackupResult } from "../../src/operations/backup.ts";
import { isLong, makeCompileCache, runCampaign, type Campaign } from "../support/kill-campaign.ts";
import { isChange, type KillPoint } from "../support/kill-points.ts";
import {
  backUp,
  changeWorld,
  describeRestore,
  makeWorld,
  worldPaths,
  type DatastoreName,
  type SmallWorld,
} from "../support/small-world.ts";
import { startProgram } from "../support/sqlite.ts";

const cache = makeCompileCache();
after(() => cache[Symbol.dispose]());

function describeCampaigns(
  title: string,
  datastores: readonly DatastoreName[],
  bounded: { readonly kills: number; readonly errors: number; readonly lanes?: number },
  more: Partial<Campaign<"restore">> = {},
): void {
  describe(title, () => {
    const worlds = new AsyncDisposableStack();
    let world: SmallWorld;
    let backup: BackupResult;

    before(async () => {
      world = worlds.use(await makeWorld());
      backup = await backUp(world, "directory", datastores);
      changeWorld(world);
    });
    after(async () => await worlds.disposeAsync());

    const campaign = () => ({
      kind: "restore" as const,
      template: world,
      describe: (copy: SmallWorld) => ({ ...describeRestore(copy, backup, datastores), lanes: bounded.lanes ?? 1 }),
      acknowledged: [backup.manifest.id],
      cache: cache.path,
      ...more,
    });

    test("F1 F55 F59 E2 G6 killed: all old or all new, the application started again", async (t) => {
      await runCampaign(t, { ...campaign(), faults: ["before", "after"], bounded: bounded.kills });
    });

    test("F14 F16 E3 G6 a call fails: the data is as it was, the application started again", async (t) => {
      await runCampaign(t, { ...campaign(), faults: ["EIO", "ENOSPC"], bounded: bounded.errors, select: canFail });
    });
  });
}

/** A cleaning up that fails is no failure of the restore, and a program that cannot be started is no fault of a disk. */
const canFail = (point: KillPoint): boolean => (isChange(point) || point.call.startsWith("write")) && point.call !== "spawn";

describeCampaigns("restore of loose files", ["loose"], { kills: 40, errors: 10 }, { drillEvery: 8 });
describeCampaigns("restore of a tree", ["tree"], { kills: 24, errors: 6 }, { drillEvery: 8 });
describeCampaigns("restore of a SQLite database", ["memory"], { kills: 8, errors: 2 }, { drillEvery: 8 });
if (isLong) describeCampaigns("restore of several datastores", ["memory", "tree", "loose"], { kills: 0, errors: 0 });
// Its calls come in another order each time: the points are then any points of it.
describeCampaigns(
  "restore of several datastores that are staged side by side",
  ["memory", "tree", "loose"],
  { kills: 6, errors: 2, lanes: 3 },
  { drillEvery: 8 },
);
describeCampaigns(
  "restore into a SQLite database in use",
  ["memory"],
  { kills: 4, errors: 1 },
  {
    drillEvery: 8,
    accompany: async (world) => await startProgram("sqlite-holder.ts", [worldPaths(world.root).database]),
  },
);
