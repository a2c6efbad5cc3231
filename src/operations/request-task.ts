import { createHash } from "node:crypto";
import { createId } from "../base/ids.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Enqueued, Priority } from "../queue/contract.ts";
import { assertTables, chooseMembers } from "./choose-members.ts";
import type { Core } from "./core.ts";
import { createBackupKey, findDatastore, findJob, identifyDatastores, isPlace } from "./find-config.ts";
import { assertPlace, findPlace } from "./find-place.ts";
import { noticeVanished } from "./notice-vanished.ts";
import type { TaskPayload } from "./payload.ts";
import { requireBackup } from "./prepare-task.ts";

export interface Requested {
  readonly requester: string;
  readonly priority: Priority;
  readonly idempotencyKey?: string;
}

/** Asks for a backup of a job. Joins one that waits for the same; never one that has started: the snapshot is not older than the request. */
export async function requestBackup(
  core: Core,
  request: Requested & {
    readonly job: string;
    readonly trigger: string;
    readonly note?: string;
    /** A name of the config, or the absolute path of a directory that was made a destination. */
    readonly destination?: string;
    readonly datastores?: readonly string[];
  },
  signal: AbortSignal,
): Promise<Enqueued> {
  const job = findJob(core.config, request.job);
  const destination = await findPlace(core.config, request.destination ?? job.destination);
  if (isPlace(destination)) await assertPlace(core.config, job, destination, signal);
  else await noticeVanished(core, destination, signal);
  const datastores = request.datastores ?? job.datastores;
  const stranger = datastores.find((name) => !job.datastores.includes(name));
  if (stranger !== undefined)
    throw new HoldfastError("unknown-name", `The job "${job.name}" has no datastore "${stranger}"`, {
      hint: `It has: ${job.datastores.join(", ")}.`,
    });
  const note = request.note ?? null;
  const payload: TaskPayload = {
    operation: "backup",
    job: job.name,
    trigger: request.trigger,
    note,
    destination,
    datastores: [...datastores],
  };
  return core.queue.enqueue({
    kind: "backup",
    job: job.name,
    payload,
    keys: await identifyDatastores(core.config, datastores, signal),
    priority: request.priority,
    requester: request.requester,
    maxAttempts: job.retry.attempts,
    backoffMs: job.retry.backoffMs,
    deadlineMs: job.maxDurationMs,
    // A request that was acknowledged is not lost with the daemon.
    onInterrupt: "retry",
    // A note is about one backup: a request with a note of its own is not answered by another's run.
    ...(note === null ? { coalesceKey: `backup:${job.name}:${destination}:${datastores.join(",")}` } : {}),
    ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
  });
}

/** Asks for a verification or a drill of one backup. */
export async function requestProof(
  core: Core,
  request: Requested & { readonly operation: "verify" | "drill"; readonly backup: CatalogBackup },
  signal: AbortSignal,
): Promise<Enqueued> {
  const { backup, operation } = request;
  const payload: TaskPayload = { operation, job: backup.job, destination: backup.destination, backupId: backup.id };
  const datastores = backup.members.map(({ datastore }) => datastore);
  return core.queue.enqueue({
    kind: operation,
    job: backup.job,
    payload,
    keys: [createBackupKey(backup.destination, backup.id), ...(await identifyDatastores(core.config, datastores, signal))],
    priority: request.priority,
    requester: request.requester,
    onInterrupt: "retry",
    coalesceKey: `${operation}:${backup.destination}/${backup.id}`,
    ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
  });
}

export interface RestoreRequest extends Requested {
  readonly backup: CatalogBackup;
  readonly datastores?: readonly string[];
  /** Only these of the one datastore. */
  readonly tables?: readonly string[];
  readonly unsavable: "refuse" | "raw";
  readonly start: "yes" | "no";
  /** An unverified, partial, suspect or damaged backup needs this word. */
  readonly doubtful: "refuse" | "accept";
  readonly undoes?: string;
}

/** Asks for a restore of all that the backup has, or of some. @throws backup-unverified unless the backup is a good one or the request accepts it as it is */
export async function requestRestore(core: Core, request: RestoreRequest, signal: AbortSignal): Promise<Enqueued> {
  const { backup } = request;
  const job = findJob(core.config, backup.job);
  const doubts = listDoubts(backup);
  if (doubts.length > 0 && request.doubtful === "refuse") {
    throw new HoldfastError("backup-unverified", `The backup ${backup.name} is ${doubts.join(" and ")}`, {
      hint: "Restore `latest`, or say --accept-doubtful to take it as it is.",
    });
  }
  const members = chooseMembers(backup, request.datastores);
  assertTables(members, request.tables);
  const datastores = members.map(({ datastore }) => datastore);
  for (const name of datastores) findDatastore(core.config, name);
  const { idempotencyKey } = request;
  const tables = request.tables === undefined ? {} : { tables: [...request.tables] };
  const restoreId = idempotencyKey === undefined ? createId(core.clock.now()) : createIdFor(idempotencyKey);
  const payload: TaskPayload = {
    operation: "restore",
    job: job.name,
    restoreId,
    destination: backup.destination,
    backupId: backup.id,
    datastores,
    ...tables,
    unsavable: request.unsavable,
    start: request.start,
    undoes: request.undoes ?? null,
  };
  const keys = [createBackupKey(backup.destination, backup.id), ...(await identifyDatastores(core.config, datastores, signal))];
  return core.catalog.transact(() => {
    const enqueued = core.queue.enqueue({
      kind: "restore",
      job: job.name,
      payload,
      keys,
      priority: "interactive",
      requester: request.requester,
      ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
    });
    if (enqueued.joined === "new") {
      core.catalog.restores.put({
        id: restoreId,
        runId: enqueued.task.id,
        backupId: backup.id,
        destination: backup.destination,
        backupName: backup.name,
        job: job.name,
        datastores,
        ...tables,
        startedAtMs: core.clock.now(),
        state: "running",
      });
    }
    return enqueued;
  });
}

/** The same for the same key: a request that is repeated must be the same request. */
function createIdFor(key: string): string {
  const letters = "0123456789abcdefghjkmnpqrstvwxyz";
  const digest = createHash("sha256").update(key).digest();
  return Array.from(digest.subarray(0, 20), (byte) => letters.charAt(byte & 31)).join("");
}

/** Why a backup is not plainly good. */
export function listDoubts(backup: CatalogBackup): readonly string[] {
  return [
    ...(backup.verifiedAtMs === null ? ["unverified"] : []),
    ...(backup.status === "partial" ? ["partial"] : []),
    ...(backup.suspect.length > 0 && backup.accepted === null && backup.class === "backup" ? ["suspect"] : []),
    ...(backup.damaged === null ? [] : ["damaged"]),
  ];
}

/** Asks for the undo of a restore: the restore of what was saved before it, absence included. */
export async function requestUndo(
  core: Core,
  request: Requested & { readonly restoreId?: string; readonly start: "yes" | "no" },
  signal: AbortSignal,
): Promise<Enqueued> {
  const restore = request.restoreId === undefined ? core.catalog.restores.findUndoable() : core.catalog.restores.get(request.restoreId);
  if (restore?.preRestore === undefined || restore.undoneByRestoreId !== undefined) {
    throw new HoldfastError(
      "nothing-to-undo",
      request.restoreId === undefined
        ? "There is no restore that can be undone"
        : `The restore ${request.restoreId} cannot be undone (any more)`,
      {
        hint: "`holdfast list --pre-restore` shows what was saved before restores.",
      },
    );
  }
  const backup = requireBackup(core, restore.preRestore.destination, restore.preRestore.id);
  // Tables that were not named are not taken back either: they may have changed since. All else that was saved is, see describeBeyond.
  const tables = restore.tables === undefined ? {} : { datastores: restore.datastores, tables: restore.tables };
  return await requestRestore(core, { ...request, backup, ...tables, unsavable: "refuse", doubtful: "accept", undoes: restore.id }, signal);
}
