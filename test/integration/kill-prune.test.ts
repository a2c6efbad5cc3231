import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BackupResult } from "../../src/operations/backup.ts";
import { makeCompileCache, runCampaign } from "../support/kill-campaign.ts";
import { backUp, describeRemoval, makeWorld, type Layout, type SmallWorld } from "../support/small-world.ts";

const layouts: readonly Layout[] = ["directory", "archive", "file"];

describe("a removal that is killed or fails anywhere", () => {
  const cache = makeCompileCache();
  const worlds = new AsyncDisposableStack();
  let world: SmallWorld;
  const doomed: BackupResult[] = [];
  let kept: BackupResult;

  before(async () => {
    world = worlds.use(await makeWorld());
    for (const layout of layouts) doomed.push(await backUp(world, layout, [layout === "file" ? "tree" : "loose"]));
    kept = await backUp(world, "directory", ["loose"]);
  });
  after(async () => {
    await worlds.disposeAsync();
    cache[Symbol.dispose]();
  });

  const campaign = () => ({
    kind: "remove" as const,
    template: world,
    describe: (copy: SmallWorld) => describeRemoval(copy, doomed),
    acknowledged: [kept.manifest.id],
    doomed: doomed.map(({ manifest }) => manifest.id),
    cache: cache.path,
  });

  test("F1 E2 killed: each backup is whole or gone, the one to keep is whole", async (t) => {
    assert.equal(doomed.length, 3);
    await runCampaign(t, { ...campaign(), faults: ["before", "after"], bounded: 24 });
  });
});
