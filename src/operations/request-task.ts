import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Enqueued, Priority } from "../queue/contract.ts";
import type { Core } from "./core.ts";
import { createBackupKey, findJob, identifyDatastores, identifyServices, isPlace } from "./find-config.ts";
import { assertPlace, findPlace } from "./find-place.ts";
import { noticeVanished } from "./notice-vanished.ts";
import type { TaskPayload } from "./payload.ts";

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
    keys: [...(await identifyDatastores(core.config, datastores, signal)), ...identifyServices(core.config, datastores)],
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
