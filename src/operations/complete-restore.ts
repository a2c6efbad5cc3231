import { findDatastoreDriver } from "../datastores/registry.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { applyRetention } from "./apply-retention.ts";
import { describeBackup } from "./catalog-backup.ts";
import type { Completion } from "./completion.ts";
import type { Core } from "./core.ts";
import { describeHook } from "./describe-hook.ts";
import type { PayloadOf } from "./payload.ts";
import type { RestoreResult } from "./restore.ts";
import type { Aftermath } from "./start-restored.ts";

/** Puts a restore on record. Data that stays though the application is not well is restored, can be undone, and is no plain success. */
export function completeRestore(core: Core, payload: PayloadOf<"restore">, result: RestoreResult): Completion {
  const job = core.config.jobs.get(payload.job);
  const saved = result.preRestore;
  const destination = job?.destination ?? payload.destination;
  if (saved !== undefined) core.catalog.backups.put(describeBackup({ ...saved, destination }, []));
  core.catalog.restores.update(payload.restoreId, {
    state: "done",
    finishedAtMs: core.clock.now(),
    ...(saved === undefined ? {} : { preRestore: { destination, id: saved.manifest.id, name: saved.manifest.name } }),
  });
  if (payload.undoes !== null) core.catalog.restores.update(payload.undoes, { undoneByRestoreId: payload.restoreId });
  if (job !== undefined) applyRetention(core, job);
  const names = result.members.map(({ datastore }) => datastore).join(", ");
  const { unstarted, unhealthy, unproven } = result;
  const remedies = describeRemedies(result, { start: (job?.restore.start ?? []).map(describeHook), saved: saved !== undefined });
  return {
    state: isWell(result) ? "ok" : "partial",
    summary: [`${names} restored from ${result.backup} and verified in ${describeDuration(result.tookMs)}`, ...remedies].join("; "),
    backupId: payload.backupId,
    details: {
      restoreId: payload.restoreId,
      backup: result.backup,
      preRestore: saved?.manifest.name ?? null,
      members: result.members.map((member) => ({ ...member })),
      unstarted: unstarted ?? null,
      unhealthy: unhealthy ?? null,
      unproven: [...unproven],
      ...describeMade(core, payload),
    },
  };
}

/** New databases, which an undo does not take away: how to remove them. */
function describeMade(core: Core, { databases }: PayloadOf<"restore">): { readonly removals?: readonly string[] } {
  const removals = Object.entries(databases ?? {}).flatMap(([datastore, name]) => {
    const known = core.config.datastores.get(datastore);
    const retarget = known === undefined ? undefined : findDatastoreDriver(known.kind).retarget;
    return known === undefined || retarget === undefined ? [] : [retarget(known.options, { kind: "named", name }).removal];
  });
  return removals.length === 0 ? {} : { removals };
}

export function isWell({ unstarted, unhealthy }: Aftermath): boolean {
  return unstarted === undefined && unhealthy === undefined;
}

/** What is not well after a restore that keeps its data, and what to do. Nothing where all is well. */
export function describeRemedies(
  { unstarted, unhealthy, unproven }: Aftermath,
  { start, saved }: { readonly start: readonly string[]; readonly saved: boolean },
): readonly string[] {
  const undo = saved ? ["`holdfast undo` brings back what was there before"] : [];
  const servers = unproven.length === 0 ? [] : [`that the server of ${unproven.join(", ")} runs on the restored data is not proven`];
  if (unstarted !== undefined) {
    const byHand = start.length === 0 ? [] : [`start it by hand: ${start.join("; ")}`];
    return [`the application could not be started: ${unstarted}`, ...servers, ...byHand, ...undo];
  }
  return unhealthy === undefined ? servers : [`the application is not well, and its data is kept: ${unhealthy}`, ...servers, ...undo];
}
