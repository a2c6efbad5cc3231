import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openControlBed, type ControlBed } from "../../test/support/control.ts";
import { createId } from "../base/ids.ts";
import { sweepStaging } from "./sweep-staging.ts";

interface Found {
  readonly left: readonly string[];
  readonly ours: readonly string[];
  readonly others: readonly string[];
}

async function sweepOf(bed: ControlBed, stagingDir: string): Promise<Found> {
  const { core } = bed;
  const { task } = core.queue.enqueue({ kind: "backup", payload: 1, keys: [], priority: "scheduled", requester: "test" });
  const id = createId(core.clock.now());
  const plan = `plan-${id}-aB3x9Z`;
  const others = [`${id}-aB3x9Z`, "plan-b", `plan-${id}`, "left"];
  for (const name of [`${task.id}-aB3x9Z`, plan, ...others]) {
    mkdirSync(join(stagingDir, name), { recursive: true });
    writeFileSync(join(stagingDir, name, "copy"), "data");
  }
  await sweepStaging({ ...core, config: { ...core.config, settings: { ...core.config.settings, stagingDir } } });
  return { left: readdirSync(stagingDir).toSorted(), ours: [plan], others: others.toSorted() };
}

test("F1 what tasks and plans of the last daemon had staged is removed when the next one starts, and nothing that may be somebody else's", async () => {
  await using bed = await openControlBed();
  const own = await sweepOf(bed, bed.core.config.settings.stagingDir);
  assert.deepEqual(own.left, own.others);
  // Where several daemons stage, the plans may be those of another one.
  const shared = await sweepOf(bed, join(bed.dir, "shared"));
  assert.deepEqual(shared.left, [...shared.ours, ...shared.others].toSorted());
});
