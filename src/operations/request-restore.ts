import { createHash } from "node:crypto";
import { HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Enqueued } from "../queue/contract.ts";
import { chooseMembers } from "./choose-members.ts";
import type { Core } from "./core.ts";
import { createBackupKey, findDatastore, findJob, identifyDatastores } from "./find-config.ts";
import { listDoubts } from "./list-doubts.ts";
import { assertParts, pickParts, type PartsRequest } from "./parts.ts";
import type { TaskPayload } from "./payload.ts";
import { requireBackup } from "./prepare-task.ts";
import type { Requested } from "./request-task.ts";

export interface RestoreRequest extends Requested, PartsRequest {
  readonly backup: CatalogBackup;
  readonly datastores?: readonly string[];
  readonly unsavable: "refuse" | "raw";
  readonly start: "yes" | "no";
  /** Whether the restored data stays when a check fails. */
  readonly keep?: "yes" | "no";
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
  assertParts(members, request);
  const datastores = members.map(({ datastore }) => datastore);
  for (const name of datastores) findDatastore(core.config, name);
  const { idempotencyKey } = request;
  const parts = pickParts(request);
  const restoreId = idempotencyKey === undefined ? createId(core.clock.now()) : createIdFor(idempotencyKey);
  const payload: TaskPayload = {
    operation: "restore",
    job: job.name,
    restoreId,
    destination: backup.destination,
    backupId: backup.id,
    datastores,
    ...parts,
    unsavable: request.unsavable,
    start: request.start,
    ...(request.keep === undefined ? {} : { keep: request.keep }),
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
        ...parts,
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

/** Asks for the undo of a restore: the restore of what was saved before it, absence included. */
export async function requestUndo(
  core: Core,
  request: Requested & { readonly restoreId?: string; readonly start: "yes" | "no"; readonly keep?: "yes" | "no" },
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
  // Parts that were not named are not taken back either: they may have changed since. All else that was saved is, see describeBeyond.
  const parts = pickParts(restore);
  const scope = Object.keys(parts).length === 0 ? {} : { datastores: restore.datastores, ...parts };
  return await requestRestore(core, { ...request, backup, ...scope, unsavable: "refuse", doubtful: "accept", undoes: restore.id }, signal);
}
