import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { RestoreResult } from "../../src/operations/restore.ts";
import type { OperationSetup } from "../../src/operations/run-task.ts";
import { checkInvariants, restartWorld } from "./check-invariants.ts";
import { pickPoints, readSeed } from "./fault-points.ts";
import {
  isChange,
  listKillPoints,
  operate,
  type ActKind,
  type ActSetup,
  type KillFault,
  type KillPoint,
  type OperationRun,
} from "./kill-points.ts";
import { copyWorld, readData, type SmallWorld } from "./small-world.ts";

export const isLong = process.env["HOLDFAST_LONG"] === "1";

/** Compiled sources for the many short runs of a test file. */
export function makeCompileCache(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "compiled-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Campaign<Kind extends ActKind> {
  readonly kind: Kind;
  /** Where every run begins: it is copied. */
  readonly template: SmallWorld;
  /** Setup of the operation on a copy. */
  readonly describe: (world: SmallWorld) => ActSetup<Kind>;
  /** Of the template: backups that must survive, and that may be gone. */
  readonly acknowledged: readonly string[];
  readonly doomed?: readonly string[];
  readonly faults: readonly KillFault[];
  /** How many points of a bounded run. */
  readonly bounded: number;
  readonly select?: (point: KillPoint) => boolean;
  readonly cache: string;
  /** What the data may be before and after; of the template and of a clean run when absent. */
  readonly data?: readonly string[];
  /** Of every how many points the backups are restored, not only verified. */
  readonly drillEvery?: number;
  /** Something beside the operation, for example an application; called for every copy. */
  readonly accompany?: (world: SmallWorld) => Promise<AsyncDisposable>;
}

/** Runs the operation on fresh copies with a fault at each chosen point; after each a restart and the invariants. */
export async function runCampaign<Kind extends ActKind>(t: TestContext, campaign: Campaign<Kind>): Promise<void> {
  const { kind, template, describe, faults, bounded, cache, drillEvery = 4, accompany } = campaign;
  const old = readData(template);
  const select = campaign.select ?? isChange;
  await using clean = copyWorld(template);
  await using beside = await accompany?.(clean);
  const all = await listKillPoints(clean, kind, describe(clean), cache);
  const points = all.filter(select).flatMap((point) => faults.map((fault) => ({ point, fault })));
  await beside?.[Symbol.asyncDispose]();
  const fresh = readData(clean);
  const seed = readSeed();
  const chosen = isLong ? points : pickPoints(points, bounded, seed, t.name);
  let unreached = 0;
  for (const [index, { point, fault }] of chosen.entries()) {
    const where = `${kind}: ${fault} ${point.process}/${point.n} ${point.call} ${point.subject} (HOLDFAST_SEED=${seed})`;
    await using world = copyWorld(template);
    await using _application = await accompany?.(world);
    const setup = describe(world);
    const run = await operate(world, kind, setup, { at: { point, fault }, cache });
    if (run.outcome === "done" && (fault === "before" || fault === "after")) unreached += 1;
    if (run.outcome === "failed") assertClassified(run, where);
    const finished = await restartWorld(world, run.marker);
    assert.deepEqual(
      finished.filter(({ outcome }) => outcome === "failed"),
      [],
      where,
    );
    // A second start finds nothing to do.
    assert.deepEqual(await restartWorld(world, run.marker), [], where);
    const [own] = kind === "backup" ? [(setup as OperationSetup<"backup">).backupId] : [];
    await checkInvariants(world, {
      where,
      marker: run.marker,
      ...(kind === "restore" && run.outcome === "done" && isPartlySaved(run) ? { aside: "kept" } : {}),
      acknowledged: [...campaign.acknowledged, ...(run.outcome === "done" && own !== undefined ? [own] : [])],
      possible:
        kind === "restore" || kind === "finish"
          ? "any"
          : [...(own === undefined || run.outcome === "failed" ? [] : [own]), ...(campaign.doomed ?? [])],
      data: campaign.data ?? (run.outcome === "done" ? [fresh] : run.outcome === "failed" ? [old] : [old, fresh]),
      proof: index % drillEvery === 0 ? "drill" : "verify",
    });
  }
  // Streams may come in other portions, so that a run can have a call less.
  assert.ok(unreached <= 2 + chosen.length / 20, `${unreached} of ${chosen.length} points were not reached`);
  t.diagnostic(`${chosen.length} of ${points.length} points of ${kind}, HOLDFAST_SEED=${seed}`);
}

/** A file that cannot be read makes the pre-restore backup partial: then the restore keeps what it put aside. */
function isPartlySaved({ said }: OperationRun): boolean {
  return (JSON.parse(said) as RestoreResult).preRestore?.manifest.status === "partial";
}

function assertClassified({ said, stderr }: OperationRun, where: string): void {
  assert.match(said, /^[a-z-]+ /, where);
  assert.doesNotMatch(said, /^(unknown|internal|restore-stuck) /, `${where}: ${said} ${stderr}`);
}
