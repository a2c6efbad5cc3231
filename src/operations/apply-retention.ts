import { pickDefined } from "../base/pick-defined.ts";
import type { CatalogBackup, CatalogMember } from "../catalog/contract.ts";
import type { JobConfig } from "../config/config.ts";
import { decideRetention } from "../retention/decide-retention.ts";
import { decideUndoRetention } from "../retention/decide-undo-retention.ts";
import type { Verdict } from "../retention/verdict.ts";
import type { Core } from "./core.ts";
import { createBackupKey, createRemovalKey } from "./find-config.ts";
import { overrideRetention } from "./override-retention.ts";
import { usesBackup, type PayloadOf, type TaskPayload } from "./payload.ts";
import { listPendingRemovals } from "./pending-removals.ts";

/** What retention says of a job's backups at one destination. */
export function planRetention(core: Core, job: JobConfig, destination: string): readonly Verdict[] {
  const backups = core.catalog.backups.find({ job: job.name, destination, class: "backup" });
  // What a person is having deleted must not pass for the backup that lets others go.
  const isGoing = listPendingRemovals(core, ["delete"]);
  const host = core.config.settings.hostname;
  const freeze = core.clockJump === undefined ? core.catalog.backups.findFreeze(job.name, host) : { reason: core.clockJump };
  return decideRetention({
    policy: job.retention,
    backups: backups
      .filter((backup) => backup.missingSinceMs === null && !isGoing(backup))
      .map((backup) => describeForRetention(core, backup)),
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
    holds: listMembers(backup, "ok"),
    holdsPart: listMembers(backup, "partial"),
    pinned: backup.pinned !== null,
    ...(backup.pinned === null ? {} : { pinNote: backup.pinned }),
    inUse,
    // Several machines may keep their backups at one destination, under the same name of a job.
    owned: backup.host === undefined || backup.host === core.config.settings.hostname,
    manifestReadable: true,
  };
}

function listMembers({ members }: CatalogBackup, wanted: CatalogMember["status"]): readonly string[] {
  return members.filter(({ status }) => status === wanted).map(({ datastore }) => datastore);
}

/** Asks for the removal of what the verdicts give up, oldest first; nothing when nothing goes. */
export function requestRemovals(
  core: Core,
  job: string,
  destination: string,
  verdicts: readonly Verdict[],
  why: "retention" | "delete",
  olderThan?: string,
): string | undefined {
  const removals = verdicts
    .filter(({ action }) => action === "remove")
    .toSorted((one, other) => one.createdAtMs - other.createdAtMs)
    .flatMap(({ id, reasons }) => {
      const backup = core.catalog.backups.get(destination, id);
      return backup === undefined ? [] : [{ id, folder: backup.folder, manifestKey: backup.manifestKey, reasons: [...reasons] }];
    });
  if (removals.length === 0) return undefined;
  const payload: TaskPayload = { operation: "remove", job, destination, removals, why, ...pickDefined({ olderThan }) };
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

/**
 * What of a removal is still to be done when its turn has come. Meanwhile a backup may have been pinned or needed, a newer one found
 * damaged, a run suspect, or the policy changed: what retention had decided it must decide again.
 */
export function listDueRemovals(
  core: Core,
  { job: name, destination, removals, why, olderThan }: PayloadOf<"remove">,
): PayloadOf<"remove">["removals"] {
  const known = removals.filter(({ id }) => core.catalog.backups.get(destination, id) !== undefined);
  if (why === "delete") return known;
  const job = core.config.jobs.get(name);
  if (job === undefined) return [];
  const meant = overrideRetention(job, olderThan);
  const verdicts = [...planRetention(core, meant, destination), ...(destination === job.destination ? planUndoRetention(core, job) : [])];
  const given = new Set(verdicts.filter(({ action }) => action === "remove").map(({ id }) => id));
  return known.filter(({ id }) => given.has(id));
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
