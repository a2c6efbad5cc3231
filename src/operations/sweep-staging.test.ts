import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openControlBed } from "../../test/support/control.ts";
import { createId } from "../base/ids.ts";
import { sweepStaging } from "./sweep-staging.ts";

test("F1 what tasks and plans of the last daemon had staged is removed when the next one starts, and nothing that may be somebody else's", async () => {
  await using bed = await openControlBed();
  const { core } = bed;
  const { task } = core.queue.enqueue({ kind: "backup", payload: 1, keys: [], priority: "scheduled", requester: "test" });
  const { stagingDir } = core.config.settings;
  const id = createId(core.clock.now());
  const ours = [`${task.id}-aB3x9Z`, `plan-${id}-aB3x9Z`];
  const others = [`${id}-aB3x9Z`, "plan-b", `plan-${id}`, "left"];
  for (const name of [...ours, ...others]) {
    mkdirSync(join(stagingDir, name), { recursive: true });
    writeFileSync(join(stagingDir, name, "copy"), "data");
  }
  await sweepStaging(core);
  assert.deepEqual(readdirSync(stagingDir).toSorted(), others.toSorted());
});
