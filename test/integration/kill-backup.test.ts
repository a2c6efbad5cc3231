import { after, before, describe, test } from "node:test";
import type { BackupResult } from "../../src/operations/backup.ts";
import { isLong, makeCompileCache, runCampaign } from "../support/kill-campaign.ts";
import { isChange, type KillPoint } from "../support/kill-points.ts";
import {
  backUp,
  changeWorld,
  describeBackup,
  makeWorld,
  type DatastoreName,
  type Layout,
  type SmallWorld,
} from "../support/small-world.ts";

const cache = makeCompileCache();
after(() => cache[Symbol.dispose]());

function describeCampaigns(
  layout: Layout,
  datastores: readonly DatastoreName[],
  bounded: { readonly kills: number; readonly errors: number },
): void {
  describe(`a backup of ${datastores.join(", ")} as ${layout}`, () => {
    const worlds = new AsyncDisposableStack();
    let world: SmallWorld;
    let older: BackupResult;

    before(async () => {
      world = worlds.use(await makeWorld());
      older = await backUp(world, layout, datastores);
      changeWorld(world);
    });
    after(async () => await worlds.disposeAsync());

    const campaign = () => ({
      kind: "backup" as const,
      template: world,
      describe: (copy: SmallWorld) => describeBackup(copy, layout, datastores),
      acknowledged: [older.manifest.id],
      cache: cache.path,
      drillEvery: 6,
    });

    test("F1 E2 killed: the backup is whole or not there, the older one is whole, the source is as it was", async (t) => {
      await runCampaign(t, { ...campaign(), faults: ["before", "after"], bounded: bounded.kills });
    });

    test("F14 F16 E3 a call fails: nothing is published, the older backup is whole", async (t) => {
      await runCampaign(t, { ...campaign(), faults: ["EIO", "ENOSPC"], bounded: bounded.errors, select: canFail });
    });
  });
}

const canFail = (point: KillPoint): boolean => (isChange(point) || point.call.startsWith("write")) && point.call !== "spawn";

describeCampaigns("directory", ["loose"], { kills: 36, errors: 6 });
describeCampaigns("archive", ["loose"], { kills: 36, errors: 6 });
describeCampaigns("file", ["tree"], { kills: 18, errors: 4 });
describeCampaigns("file", ["memory"], { kills: 6, errors: 2 });
if (isLong) describeCampaigns("archive", ["memory", "tree", "loose"], { kills: 0, errors: 0 });
