import type { CatalogBackup } from "../catalog/contract.ts";
import type { JobConfig } from "../config/config.ts";
import { decideRetention } from "../retention/decide-retention.ts";
import { decideUndoRetention } from "../retention/decide-undo-retention.ts";
import type { Verdict } from "../retention/verdict.ts";
import type { Core } from "./core.ts";
import { createBackupKey, createRemovalKey } from "./find-config.ts";
import { usesBackup, type TaskPayload } from "./payload.ts";

/** What retention says of a job's backups at one destination. */
export function planRetention(core: Core, job: JobConfig, destination: string): readonly Verdict[] {
  const backups = core.catalog.backups.find({ job: job.name, destination, class: "backup" });
  const freeze = core.clockJump === undefined ? core.catalog.backups.findFreeze(job.name) : { reason: core.clockJump };
  return decideRetention({
    policy: job.retention,
    backups: backups.filter(({ missingSinceMs }) => missingSinceMs === null).map((backup) => describeForRetention(core, backup)),
    nowMs: core.clock.now(),
    timezone: job.timezone,
    weekStart: "sunday",
    ...(freeze === undefined ? {} : { frozen: { reason: freeze.reason } }),
  });
}

/** The same for pre-restore backups, which have a retention of their own. */
export function planUndoRetention(core: Core, job: JobConfig): readonly Verdict[] {
  const backups = core.catalog.backups.find({ job: job.name, destination: job.destination, class: "pre-restore" });
  return decideUndoRetention({
    backups: backups.map((backup) => describeForRetention(core, backup)),
    nowMs: core.clock.now(),
    keepForMs: job.restore.undoKeepMs,
    keepLast: job.restore.undoKeepLast,
  });
}

function describeForRetention(core: Core, backup: CatalogBackup) {
  const inUse = core.queue.usesOf((payload) => usesBackup(payload, backup.id)).length > 0;
  return {
    id: backup.id,
    name: backup.name,
    createdAtMs: backup.createdAtMs,
    sequence: backup.sequence,
    status: backup.status,
    verified: backup.verifiedAtMs !== null,
    suspect: backup.suspect.length > 0 && backup.accepted === null,
    damaged: backup.damaged !== null,
    pinned: backup.pinned !== null,
    ...(backup.pinned === null ? {} : { pinNote: backup.pinned }),
    inUse,
    owned: true,
    manifestReadable: true,
  };
}

/** Asks for the removal of what the verdicts give up, oldest first; nothing when nothing goes. */
export function requestRemovals(
  core: Core,
  job: string,
  destination: string,
  verdicts: readonly Verdict[],
  why: "retention" | "delete",
): string | undefined {
  const removals = verdicts
    .filter(({ action }) => action === "remove")
    .toSorted((one, other) => one.createdAtMs - other.createdAtMs)
    .flatMap(({ id, reasons }) => {
      const backup = core.catalog.backups.get(destination, id);
      return backup === undefined ? [] : [{ id, folder: backup.folder, manifestKey: backup.manifestKey, reasons: [...reasons] }];
    });
  if (removals.length === 0) return undefined;
  const payload: TaskPayload = { operation: "remove", job, destination, removals, why };
  const { task } = core.queue.enqueue({
    kind: "remove",
    job,
    payload,
    keys: [createRemovalKey(destination), ...removals.map(({ id }) => createBackupKey(destination, id))],
    priority: why === "delete" ? "interactive" : "maintenance",
    requester: why,
    maxAttempts: 1,
  });
  return task.id;
}

/** After a run: the job's retention at every place that has its backups, and that of its pre-restore backups. */
export function applyRetention(core: Core, job: JobConfig): void {
  const places = new Set(core.catalog.backups.find({ job: job.name }).map(({ destination }) => destination));
  for (const destination of places) {
    if (!core.config.destinations.has(destination)) continue;
    requestRemovals(core, job.name, destination, planRetention(core, job, destination), "retention");
  }
  requestRemovals(core, job.name, job.destination, planUndoRetention(core, job), "retention");
}
