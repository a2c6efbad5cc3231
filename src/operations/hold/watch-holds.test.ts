import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openControlBed } from "../../../test/support/control.ts";
import { createShellHook as hook, useDirectHooks } from "../../../test/support/direct-hooks.ts";
import { Secret } from "../../base/secret.ts";
import { createHoldId, holdsDir, listHolds, writeHold } from "./hold-record.ts";
import { HoldWatch } from "./watch-holds.ts";

useDirectHooks();

test("F71 an application that a crash left frozen is thawed with the variables of its job's hooks", async () => {
  await using bed = await openControlBed();
  const { config } = bed.core;
  const thawed = join(bed.dir, "thawed");
  const env = { TOKEN: new Secret("hunter2") };
  const freeze = [{ ...hook("true"), env }];
  const thaw = [{ ...hook(`test "$TOKEN" = hunter2 && touch '${thawed}'`), env }];
  const nightly = config.jobs.get("nightly") ?? assert.fail();
  const core = { ...bed.core, config: { ...config, jobs: new Map([["nightly", { ...nightly, freeze, thaw }]]) } };
  const directory = holdsDir(config.settings.stateDir);
  await writeHold(directory, {
    version: 1,
    id: createHoldId("nightly"),
    what: 'the application of "nightly" is frozen',
    state: "held",
    manner: "stopped",
    sinceMs: 0,
    limitMs: 1,
    engage: freeze,
    release: thaw,
  });
  await using watch = new HoldWatch(core);
  watch.look();
  await watch.settled();
  assert.ok(existsSync(thawed));
  assert.deepEqual(listHolds(directory), []);
});
