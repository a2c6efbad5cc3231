import { createHash } from "node:crypto";
import { HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import type { CatalogBackup, Restore } from "../catalog/contract.ts";
import type { Enqueued } from "../queue/contract.ts";
import { chooseMembers } from "./choose-members.ts";
import { chooseUndo } from "./choose-undo.ts";
import type { Core } from "./core.ts";
import { chooseRestoreJob, chooseRestoreTargets, listMoved, type ChosenTarget, type RestoreTo } from "./choose-restore-targets.ts";
import { describeMeaning } from "./describe-meaning.ts";
import { createBackupKey, identifyServices } from "./find-config.ts";
import { createDoubtError, listDoubts } from "./list-doubts.ts";
import { identifyTargets, listOriginDoubts } from "./list-origin-doubts.ts";
import { assertParts } from "./assert-parts.ts";
import { pickParts, type PartsRequest } from "./parts.ts";
import type { TaskPayload } from "./payload.ts";
import { requireBackup } from "./prepare-task.ts";
import { readManifest } from "./show-backup.ts";
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
  /** Elsewhere, of these members alone. */
  readonly to?: RestoreTo;
}

/** Asks for a restore of all that the backup has, or of some. @throws backup-unverified unless the backup is a good one or the request accepts it as it is */
export async function requestRestore(core: Core, request: RestoreRequest, signal: AbortSignal): Promise<Enqueued> {
  const { backup } = request;
  const members = chooseMembers(backup, request.to === undefined ? request.datastores : listMoved(request.to, request.datastores));
  assertParts(members, request);
  const targets = chooseRestoreTargets(core.config, members, request.to);
  assertNoNewTables(targets, request);
  const known = await identifyTargets(targets, signal);
  const origin = request.doubtful === "refuse" ? await refuseDoubtful(core, backup, known, signal) : [];
  const { job, hooks } = chooseRestoreJob(core.config, core.catalog, backup, targets);
  const datastores = targets.map(({ datastore }) => datastore);
  const elsewhere = { ...describeElsewhere(targets), ...(hooks === "none" ? { hooks } : {}) };
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
    ...elsewhere,
    ...parts,
    meant: Object.fromEntries(datastores.map((name) => [name, describeMeaning(core.config, name)])),
    ...(origin.length === 0 ? {} : { origin: [...origin] }),
    unsavable: request.unsavable,
    start: request.start,
    ...(request.keep === undefined ? {} : { keep: request.keep }),
    undoes: request.undoes ?? null,
  };
  // The keys of what is touched: of a new database its own, not that of the datastore on whose server it is made.
  const keys = [
    createBackupKey(backup.destination, backup.id),
    ...known.map(({ key }) => key),
    ...identifyServices(core.config, datastores),
  ];
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
        ...elsewhere,
        ...parts,
        startedAtMs: core.clock.now(),
        state: "running",
      });
    }
    return enqueued;
  });
}

/** Gives the doubts that count only where something is replaced: on a new machine there is nothing. */
async function refuseDoubtful(
  core: Core,
  backup: CatalogBackup,
  targets: Awaited<ReturnType<typeof identifyTargets>>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const doubts = listDoubts(backup);
  if (doubts.length > 0) throw createDoubtError(backup.name, doubts);
  return listOriginDoubts(core.config.settings.hostname, backup, await readManifest(core, backup, signal), targets);
}

/** Tables take the place of tables. @throws usage */
function assertNoNewTables(targets: readonly ChosenTarget[], { tables }: PartsRequest): void {
  if (tables === undefined || targets.every(({ database }) => database === undefined)) return;
  throw new HoldfastError("usage", "Single tables go into a database that has them, not into a new one", {
    hint: "Restore all of it into the new database, and take over from there what is needed.",
  });
}

function describeElsewhere(targets: readonly ChosenTarget[]): Pick<Restore, "from" | "databases"> {
  const moved = targets.filter(({ member, datastore }) => member.datastore !== datastore);
  const made = targets.flatMap(({ datastore, database }) => (database === undefined ? [] : [[datastore, database] as const]));
  return {
    ...(moved.length === 0 ? {} : { from: Object.fromEntries(moved.map(({ member, datastore }) => [datastore, member.datastore])) }),
    ...(made.length === 0 ? {} : { databases: Object.fromEntries(made) }),
  };
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
  const { restore } = chooseUndo(core, request.restoreId);
  const backup = requireBackup(core, restore.preRestore.destination, restore.preRestore.id);
  // Parts that were not named are not taken back either: they may have changed since. All else that was saved is, see describeBeyond.
  const parts = pickParts(restore);
  const scope = Object.keys(parts).length === 0 ? {} : { datastores: restore.datastores, ...parts };
  return await requestRestore(core, { ...request, backup, ...scope, unsavable: "refuse", doubtful: "accept", undoes: restore.id }, signal);
}
