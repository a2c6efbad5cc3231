import { createId } from "../../base/ids.ts";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { describeDuration } from "../../base/parse-duration.ts";
import type { CatalogBackup } from "../../catalog/contract.ts";
import type { Config } from "../../config/config.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import type { Task } from "../../queue/contract.ts";
import { chooseMembers } from "../choose-members.ts";
import type { Core } from "../core.ts";
import { createBackupKey } from "../find-config.ts";
import { listDoubts } from "../list-doubts.ts";
import type { TaskPayload } from "../payload.ts";
import type { Requested } from "../request-task.ts";
import type { ScratchTarget } from "./run-scratch.ts";
import { listScratches, removeScratchRecord, writeScratch, type ScratchRecord } from "./scratch-record.ts";

export interface ScratchRequest extends Requested {
  readonly backup: CatalogBackup;
  readonly datastores?: readonly string[];
  /** `settings.scratchKeep` by default. */
  readonly keepMs?: number;
  readonly doubtful: "refuse" | "accept";
}

/** Asks for a scratch place. Its record is there before its task: whatever happens then, somebody knows what to remove. */
export async function requestScratch(
  core: Core,
  request: ScratchRequest,
  signal: AbortSignal,
): Promise<{ readonly task: Task; readonly id: string }> {
  const { backup } = request;
  const doubts = listDoubts(backup);
  if (doubts.length > 0 && request.doubtful === "refuse") {
    throw new HoldfastError("backup-unverified", `The backup ${backup.name} is ${doubts.join(" and ")}`, {
      hint: "Use `latest`, or say --accept-doubtful to look into it as it is.",
    });
  }
  const datastores = chooseMembers(backup, request.datastores).map(({ datastore }) => datastore);
  const { stateDir, scratchKeepMs } = core.config.settings;
  const nowMs = core.clock.now();
  const id = createId(nowMs);
  const payload: TaskPayload = {
    operation: "scratch",
    job: backup.job,
    destination: backup.destination,
    backupId: backup.id,
    scratchId: id,
    datastores,
  };
  const keys = [
    createBackupKey(backup.destination, backup.id),
    createScratchKey(id),
    ...(await identifyDatabases(core.config, id, backup.members, datastores, signal)),
  ];
  const record: ScratchRecord = {
    version: 1,
    id,
    state: "making",
    job: backup.job,
    backup: { id: backup.id, name: backup.name, destination: backup.destination },
    createdAtMs: nowMs,
    untilMs: nowMs + (request.keepMs ?? scratchKeepMs),
    members: [],
  };
  await writeScratch(stateDir, record);
  try {
    const { task, joined } = core.queue.enqueue({
      kind: "scratch",
      job: backup.job,
      payload,
      keys,
      priority: request.priority,
      requester: request.requester,
      ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
    });
    if (joined !== "new") {
      await removeScratchRecord(stateDir, id);
      return { task, id: readScratchId(task) };
    }
    return { task, id };
  } catch (error) {
    await removeScratchRecord(stateDir, id);
    throw error;
  }
}

function readScratchId({ payload }: Task): string {
  const id = typeof payload === "object" && payload !== null && "scratchId" in payload ? payload["scratchId"] : "";
  return typeof id === "string" ? id : "";
}

function createScratchKey(id: string): ConcurrencyKey {
  return { id: `scratch:${id}`, paths: [] };
}

/** Where members can have a database of their own on their server. */
export function chooseScratchTargets(
  config: Config,
  id: string,
  members: readonly { readonly datastore: string; readonly kind: string }[],
): readonly ScratchTarget[] {
  return members.map(({ datastore, kind }) => {
    const database = findScratchDatabase(config, id, datastore, kind);
    return { datastore, ...(database === undefined ? {} : { database }) };
  });
}

function findScratchDatabase(config: Config, id: string, datastore: string, kind: string): ScratchTarget["database"] {
  const known = config.datastores.get(datastore);
  const { retarget } = findDatastoreDriver(kind);
  if (known?.kind !== kind || retarget === undefined) return undefined;
  try {
    const { options, name, access } = retarget(known.options, { kind: "scratch", id });
    return { options, name, access };
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "usage") return undefined; // of several databases: files do
    throw error;
  }
}

async function identifyDatabases(
  config: Config,
  id: string,
  members: readonly { readonly datastore: string; readonly kind: string }[],
  wanted: readonly string[],
  signal: AbortSignal,
): Promise<readonly ConcurrencyKey[]> {
  const keys: ConcurrencyKey[] = [];
  for (const { datastore, kind } of members) {
    const database = wanted.includes(datastore) ? findScratchDatabase(config, id, datastore, kind) : undefined;
    if (database !== undefined) keys.push(await findDatastoreDriver(kind).configure(database.options).identify(signal));
  }
  return keys;
}

/** Asks for the removal of a scratch place. @throws unknown-name */
export async function requestScratchRemoval(core: Core, id: string, request: Requested, signal: AbortSignal): Promise<Task> {
  const { scratches } = listScratches(core.config.settings.stateDir);
  const record = scratches.find((each) => each.id === id);
  if (record === undefined) {
    throw new HoldfastError("unknown-name", `There is no scratch place ${id}`, {
      hint:
        scratches.length === 0
          ? "There are none; `holdfast restore NAME --to scratch` makes one."
          : `There are: ${scratches.map((each) => each.id).join(", ")}.`,
    });
  }
  // One that is being made ends first: its keys are taken.
  const members = record.members.filter(({ steps }) => steps.length > 0);
  const names = members.map(({ datastore }) => datastore);
  const keys = [createScratchKey(id), ...(await identifyDatabases(core.config, id, members, names, signal))];
  return core.queue.enqueue({
    kind: "unscratch",
    job: record.job,
    payload: { operation: "unscratch", job: record.job, scratchId: id },
    keys,
    priority: request.priority,
    requester: request.requester,
    maxAttempts: 3,
    onInterrupt: "retry",
    coalesceKey: `unscratch:${id}`,
  }).task;
}

/** A removal that has failed is not tried, and told, at each look. */
const againMs = 6 * 3_600_000;
/** Between the record of a place and its task there is a moment. */
const youngMs = 60_000;

/**
 * Has removed what has come to its time, and what is half-made and nobody makes any more. To be called at the start, when tasks have been
 * recovered, and again and again.
 */
export async function sweepScratches(core: Core, signal: AbortSignal): Promise<void> {
  const { scratches } = listScratches(core.config.settings.stateDir);
  if (scratches.length === 0) return;
  const nowMs = core.clock.now();
  const open = core.queue.list({ states: ["waiting", "running", "recovering"] });
  const failed = core.queue.list({ states: ["failed"] }).filter(({ finishedAtMs = 0 }) => Math.abs(nowMs - finishedAtMs) < againMs);
  const isIn = (tasks: readonly Task[], kind: string, id: string): boolean =>
    tasks.some((task) => task.kind === kind && readScratchId(task) === id);
  for (const record of scratches) {
    const { id } = record;
    const why = findReason(record, isIn(open, "scratch", id) ? "made" : "left", core, nowMs);
    if (why === undefined || isIn(open, "unscratch", id) || isIn(failed, "unscratch", id)) continue;
    try {
      await requestScratchRemoval(core, id, { requester: "scratch", priority: "maintenance" }, signal);
      core.log.info(`The scratch place ${id} is removed: ${why}`);
    } catch (error) {
      core.log.error(`The scratch place ${id} cannot be removed now: ${describeCause(error)}`);
    }
  }
}

/** Why a place is to go; undefined as long as it may stay. */
function findReason(
  { state, untilMs, createdAtMs }: ScratchRecord,
  making: "made" | "left",
  { startedAtMs, clockJump }: Core,
  nowMs: number,
): string | undefined {
  if (state === "removing") return "its removal was not finished";
  if (state === "making") {
    const isYoung = createdAtMs >= startedAtMs && nowMs - createdAtMs < youngMs;
    return making === "made" || isYoung ? undefined : "it was not finished";
  }
  // A clock that jumped must not age it away.
  return untilMs <= nowMs && clockJump === undefined ? `it was kept for ${describeDuration(untilMs - createdAtMs)}` : undefined;
}
