import { findDatastoreDriver } from "../datastores/registry.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { applyRetention } from "./apply-retention.ts";
import { describeBackup } from "./catalog-backup.ts";
import type { Completion } from "./completion.ts";
import type { Core } from "./core.ts";
import { describeHook } from "./describe-hook.ts";
import type { PayloadOf } from "./payload.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { readRestoreJournalNow } from "./restore-journal.ts";
import type { RestoreResult } from "./restore.ts";
import type { Aftermath } from "./start-restored.ts";
import { noteStuck } from "./stuck-restores.ts";

/** Puts a restore on record. Data that stays though the application is not well is restored, can be undone, and is no plain success. */
export function completeRestore(core: Core, payload: PayloadOf<"restore">, result: RestoreResult): Completion {
  const job = core.config.jobs.get(payload.job);
  const saved = result.preRestore;
  // Not the job's of now: a reload may have changed it meanwhile.
  const destination = result.savedTo;
  if (saved !== undefined) core.catalog.backups.put(describeBackup({ ...saved, destination }, []));
  core.catalog.restores.update(payload.restoreId, {
    state: "done",
    finishedAtMs: core.clock.now(),
    ...(saved === undefined ? {} : { preRestore: { destination, id: saved.manifest.id, name: saved.manifest.name } }),
  });
  if (payload.undoes !== null) core.catalog.restores.update(payload.undoes, { undoneByRestoreId: payload.restoreId });
  if (job !== undefined) applyRetention(core, job);
  noteUnsettled(core, payload);
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

/** What it put aside could not be removed: no other restore of the data begins before that, an undo neither, so it is tried again. */
function noteUnsettled(core: Core, { restoreId: id, job }: PayloadOf<"restore">): void {
  const last = readRestoreJournalNow(restoreJournalDir(core.config.settings.stateDir), id).at(-1);
  if (last === undefined || last.type === "end") return;
  noteStuck(core, { id, job, message: `The restore ${id} is done, but what it put aside could not be removed yet` }, "untold");
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
