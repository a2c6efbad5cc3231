import { formatInstant } from "../base/clock.ts";
import { describeBytes } from "../base/describe-amount.ts";
import { reportError, type ErrorReport } from "../base/errors.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { applyRetention } from "./apply-retention.ts";
import { describeBackup } from "./catalog-backup.ts";
import { completeRestore } from "./complete-restore.ts";
import type { Completion } from "./completion.ts";
import type { Core } from "./core.ts";
import { isPlace } from "./find-config.ts";
import { markBackup } from "./mark-backup.ts";
import { noticeMissing } from "./notice-vanished.ts";
import type { PayloadOf, TaskPayload } from "./payload.ts";
import { requireBackup } from "./prepare-task.ts";
import { completeScratch, sweepScratch } from "./scratch/complete-scratch.ts";
import { requestCopies } from "./request-copy.ts";
import { noteStuck } from "./stuck-restores.ts";
import type { OperationResult } from "./run-task.ts";

/** Brings the catalog and the backups' events up to what a worker has done, and starts what follows from it. */
export async function completeTask(core: Core, payload: TaskPayload, result: unknown, signal: AbortSignal): Promise<Completion> {
  switch (payload.operation) {
    case "backup":
      return completeBackup(core, payload, result as OperationResult<"backup">);
    case "verify":
      return await completeVerify(core, payload, result as OperationResult<"verify">, signal);
    case "drill":
      return await completeDrill(core, payload, result as OperationResult<"drill">, signal);
    case "restore":
      return completeRestore(core, payload, result as OperationResult<"restore">);
    case "remove":
      return completeRemoval(core, payload, result as OperationResult<"remove">);
    case "scratch":
      return await completeScratch(core, payload, result as OperationResult<"scratch">);
    case "unscratch":
      return { state: "ok", summary: `The scratch place ${payload.scratchId} is removed`, details: { id: payload.scratchId } };
    case "copy":
      return await completeCopy(core, payload, result as OperationResult<"copy">, signal);
  }
}

function completeBackup(core: Core, payload: PayloadOf<"backup">, result: OperationResult<"backup">): Completion {
  const backup = describeBackup({ ...result, destination: payload.destination }, []);
  const isKnown = !isPlace(payload.destination);
  if (isKnown) core.catalog.backups.put(backup);
  const unplaced = result.fixedCopies.flatMap(({ problem }) => problem ?? []);
  const state = backup.suspect.length > 0 ? "suspect" : unplaced.length > 0 ? "partial" : backup.status;
  const took = describeDuration(backup.finishedAtMs - backup.createdAtMs);
  const lacks = result.manifest.members.flatMap((member) =>
    member.notes.filter(({ level }) => level === "partial").map(({ message }) => `${member.datastore}: ${message}`),
  );
  const summary = [
    `${backup.name}, ${describeBytes(backup.storedBytes)} from ${describeBytes(backup.plainBytes)} in ${took}`,
    ...(backup.suspect.length > 0 ? [`suspect: ${backup.suspect.join("; ")}`] : []),
    ...(lacks.length > 0 ? [`partial: ${lacks.join("; ")}`] : []),
    ...unplaced,
    ...(isKnown ? [] : [`only \`holdfast list --offline ${payload.destination}\` lists it, and no retention removes it`]),
  ].join("; ");
  const job = core.config.jobs.get(payload.job);
  if (job !== undefined && isKnown) {
    requestCopies(core, job, backup);
    applyRetention(core, job);
  }
  const notes = result.manifest.members.flatMap((member) =>
    member.notes.filter(({ level }) => level !== "info").map(({ message }) => `${member.datastore}: ${message}`),
  );
  return {
    state,
    summary,
    backupId: backup.id,
    bytes: backup.storedBytes,
    details: { name: backup.name, destination: backup.destination, suspect: [...backup.suspect], notes: [...notes, ...unplaced] },
  };
}

async function completeVerify(
  core: Core,
  payload: PayloadOf<"verify">,
  result: OperationResult<"verify">,
  signal: AbortSignal,
): Promise<Completion> {
  const backup = requireBackup(core, payload.destination, payload.backupId);
  await markBackup(core, backup, { at: formatInstant(core.clock.now()), event: "verified", tookMs: result.tookMs }, signal);
  return {
    state: "ok",
    summary: `${backup.name} verified in ${describeDuration(result.tookMs)}`,
    backupId: backup.id,
    details: { name: backup.name },
  };
}

async function completeDrill(
  core: Core,
  payload: PayloadOf<"drill">,
  result: OperationResult<"drill">,
  signal: AbortSignal,
): Promise<Completion> {
  const backup = requireBackup(core, payload.destination, payload.backupId);
  const datastores = result.members.map(({ datastore }) => datastore);
  await markBackup(core, backup, { at: formatInstant(core.clock.now()), event: "drilled", tookMs: result.tookMs, datastores }, signal);
  return {
    state: "ok",
    summary: `${backup.name} restored into a scratch place and compared in ${describeDuration(result.tookMs)}`,
    backupId: backup.id,
    details: { name: backup.name, members: result.members.map((member) => ({ ...member })) },
  };
}

function completeRemoval(core: Core, payload: PayloadOf<"remove">, { removed, failed }: OperationResult<"remove">): Completion {
  for (const { id, name, reasons } of removed) {
    core.catalog.backups.remove(payload.destination, id);
    core.catalog.audit.record({
      atMs: core.clock.now(),
      actor: payload.why === "retention" ? "retention" : "person",
      action: "backup.removed",
      subject: name,
      outcome: "ok",
      details: { id, destination: payload.destination, reasons: [...reasons] },
    });
  }
  const summary = `${removed.length} backup${removed.length === 1 ? "" : "s"} removed${failed.length === 0 ? "" : `, ${failed.length} could not be removed`}`;
  return {
    state: failed.length === 0 ? "ok" : "failed",
    summary,
    details: { removed: removed.map(({ name }) => name), failed: failed.map(({ id, error }) => ({ id, message: error.message })) },
  };
}

async function completeCopy(
  core: Core,
  payload: PayloadOf<"copy">,
  result: OperationResult<"copy">,
  signal: AbortSignal,
): Promise<Completion> {
  const backup = requireBackup(core, payload.destination, payload.backupId);
  await markBackup(core, backup, { at: formatInstant(core.clock.now()), event: "copied", destination: payload.to }, signal);
  core.catalog.backups.put({ ...backup, destination: payload.to, verifiedAtMs: core.clock.now(), pinned: null, missingSinceMs: null });
  return {
    state: "ok",
    summary: `${result.name} copied to ${payload.to} and read back`,
    backupId: backup.id,
    details: { name: result.name, to: payload.to },
  };
}

/** What a failure means for the backup that was read: damage is remembered, and that it is missing; a mere obstacle is not. */
export async function completeFailure(core: Core, payload: TaskPayload, thrown: unknown, signal: AbortSignal): Promise<ErrorReport> {
  const error = reportError(thrown);
  const damaging = error.code === "backup-damaged" || error.code === "backup-incomplete" || error.code === "manifest-invalid";
  const read =
    payload.operation === "verify" || payload.operation === "drill" || payload.operation === "restore" || payload.operation === "scratch";
  const backup = read ? core.catalog.backups.get(payload.destination, payload.backupId) : undefined;
  if (backup !== undefined && damaging) {
    const event = payload.operation === "drill" || payload.operation === "scratch" ? "drill-failed" : "damaged";
    await markBackup(core, backup, { at: formatInstant(core.clock.now()), event, reason: error.message }, signal);
  }
  if (backup !== undefined && error.code === "backup-not-found") await noticeMissing(core, backup, signal);
  if (payload.operation === "scratch") await sweepScratch(core, payload, signal);
  // What ended an interrupted restore has noted it already.
  if (payload.operation === "restore" && core.catalog.restores.get(payload.restoreId)?.state === "running") {
    // One that was refused because another is stuck has changed nothing.
    const state = error.code === "restore-stuck" && error.details?.["blockedBy"] === undefined ? "failed" : "rolled-back";
    core.catalog.restores.update(payload.restoreId, { state, finishedAtMs: core.clock.now() });
    const { message, hint } = error;
    // Whoever is told of the failed run is told of it.
    if (state === "failed")
      noteStuck(core, { id: payload.restoreId, job: payload.job, message, ...(hint === undefined ? {} : { hint }) }, "told");
  }
  return error;
}
