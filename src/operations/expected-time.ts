import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";

/** How long a restore may take, by what is on record of the job. Null where nothing is. */
export interface ExpectedTime {
  readonly ms: number;
  /** `restore`: an earlier restore of the same datastores, with stop and start. `drill`: into a scratch place, of the whole backup. */
  readonly basis: "restore" | "drill";
  readonly at: string;
  readonly backup: string;
}

export function findExpectedTime(
  core: Core,
  { backup, datastores }: { readonly backup: CatalogBackup; readonly datastores: readonly string[] },
): ExpectedTime | null {
  const wanted = [...datastores].toSorted().join();
  for (const restore of core.catalog.restores.list({ job: backup.job, states: ["done"], limit: 50 })) {
    const run =
      restore.tables === undefined && [...restore.datastores].toSorted().join() === wanted ? findRun(core, restore.runId) : undefined;
    if (run?.state !== "ok" || run.finishedAtMs === undefined) continue;
    const at = new Date(run.startedAtMs).toISOString();
    return { ms: run.finishedAtMs - run.startedAtMs, basis: "restore", at, backup: restore.backupName };
  }
  const own = backup.drillMs === null || backup.drilledAtMs === null ? undefined : backup;
  const drilled = own ?? core.facts.readJob(core.config, backup.job).statistics.lastDrilled;
  if (drilled?.drillMs === undefined || drilled.drillMs === null || drilled.drilledAtMs === null) return null;
  return { ms: drilled.drillMs, basis: "drill", at: new Date(drilled.drilledAtMs).toISOString(), backup: drilled.name };
}

/** A restore is put on record under its task; the run has an id of its own. */
function findRun(core: Core, taskId: string) {
  return core.catalog.runs.get(taskId) ?? core.catalog.runs.list({ kind: "restore", limit: 200 }).find((run) => run.taskId === taskId);
}
