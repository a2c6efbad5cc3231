import { formatInstant } from "../base/clock.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { SwapStep } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import {
  findUnfinishedRestores,
  removeAsideDir,
  resumeRestoreJournal,
  type RestoreJournal,
  type RestoreRecord,
  type UnfinishedRestore,
} from "./restore-journal.ts";
import { fillHooks, type FindHooks } from "./fill-hooks.ts";
import type { TaskPorts } from "./setup.ts";
import { assertSameServer } from "./same-server.ts";
import { startAgain, stopAgain } from "./start-application.ts";

type RecordOf<Type extends RestoreRecord["type"]> = Extract<RestoreRecord, { type: Type }>;

/** A datastore's options as the config has them now; undefined where it has none. */
export type FindOptions = (datastore: string) => unknown;

/** Undoes the recorded steps, last datastore first. Idempotent. */
async function rollBackSteps(records: readonly RestoreRecord[], findOptions: FindOptions, signal: AbortSignal): Promise<void> {
  for (const group of groupSteps(records).toReversed()) {
    const options = findOptions(group.datastore);
    await assertSameServer(records, group, options, signal);
    await findDatastoreDriver(group.kind).rollBack(group.steps, signal, options);
  }
}

/** Removes what the swaps put aside. Idempotent. */
export async function settleSteps(records: readonly RestoreRecord[], findOptions: FindOptions, signal: AbortSignal): Promise<void> {
  for (const group of groupSteps(records)) {
    const options = findOptions(group.datastore);
    await assertSameServer(records, group, options, signal);
    await findDatastoreDriver(group.kind).settle(group.steps, signal, options);
  }
}

interface StepGroup {
  readonly datastore: string;
  readonly kind: string;
  readonly steps: SwapStep[];
}

function groupSteps(records: readonly RestoreRecord[]): readonly StepGroup[] {
  const groups = new Map<string, StepGroup>();
  for (const record of records) {
    if (record.type !== "step") continue;
    const group = groups.get(record.datastore) ?? { datastore: record.datastore, kind: record.kind, steps: [] };
    group.steps.push(record.step);
    groups.set(record.datastore, group);
  }
  return [...groups.values()];
}

function findRecord<Type extends RestoreRecord["type"]>(records: readonly RestoreRecord[], type: Type): RecordOf<Type> | undefined {
  return records.find((record): record is RecordOf<Type> => record.type === type);
}

/**
 * Puts everything back as it was before the restore: stops an application that may be running on the restored data, undoes the steps,
 * starts the application. Idempotent; what has been put back once is not touched again.
 */
export async function rollBackRestore(
  records: readonly RestoreRecord[],
  journal: Pick<RestoreJournal, "append">,
  findOptions: FindOptions,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  const begin = findRecord(records, "begin");
  if (findRecord(records, "rolled-back") === undefined) {
    if (findRecord(records, "starting") !== undefined) await stopAgain(begin?.stop ?? [], ports, signal);
    await rollBackSteps(records, findOptions, signal);
    // Even when this cannot be noted the data is as it was; the end of the journal then says it.
    await journal
      .append({ type: "rolled-back" })
      .catch((error: unknown) => ports.log("error", `The rollback is done but could not be noted: ${describeCause(error)}`));
  }
  if (findRecord(records, "stopping") !== undefined) await startAgain(begin?.start ?? [], signal);
}

export interface FinishedRestore {
  readonly id: string;
  readonly job: string;
  readonly backup: string;
  readonly outcome: "done" | "rolled-back" | "failed";
  readonly message: string;
  /** Why the application could not be started, or is not well: on the restored data, or on what was put back. */
  readonly unwell?: string;
  /** Of one that failed: the remedy. */
  readonly hint?: string;
  /** What was there before, where it had been saved. */
  readonly preRestore: { readonly destination: string; readonly id: string; readonly name: string } | undefined;
}

/**
 * Ends restores that a crash left half-way: committed ones are settled, others rolled back, and the stopped application is started
 * again. To be called before any task runs. A restore that cannot be ended stays unfinished and is reported as `failed`.
 */
export async function finishRestores(
  directory: string,
  ports: TaskPorts,
  signal: AbortSignal,
  findOptions: FindOptions = findNone,
  findHooks: FindHooks = () => [],
): Promise<readonly FinishedRestore[]> {
  const { unfinished, unreadable } = await findUnfinishedRestores(directory);
  const finished: FinishedRestore[] = [];
  for (const restore of unfinished)
    finished.push(await finishRestore(directory, fillRestore(restore, findHooks, ports), findOptions, ports, signal));
  for (const { id, error } of unreadable) {
    const message = `The restore ${id} cannot be looked at: ${error.message}`;
    ports.log("error", message, error.hint === undefined ? {} : { hint: error.hint });
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    finished.push({ id, job: "", backup: "", outcome: "failed", message, preRestore: undefined, ...hint });
  }
  return finished;
}

/** The same for one restore whose worker is gone; undefined when it had come to its end, or had changed nothing yet. */
export async function finishOneRestore(
  directory: string,
  id: string,
  ports: TaskPorts,
  signal: AbortSignal,
  findOptions: FindOptions = findNone,
  findHooks: FindHooks = () => [],
): Promise<FinishedRestore | undefined> {
  const restore = (await findUnfinishedRestores(directory)).unfinished.find((candidate) => candidate.id === id);
  return restore === undefined
    ? undefined
    : await finishRestore(directory, fillRestore(restore, findHooks, ports), findOptions, ports, signal);
}

function fillRestore({ id, records }: UnfinishedRestore, findHooks: FindHooks, ports: TaskPorts): UnfinishedRestore {
  return { id, records: fillHooks(records, findHooks, (message) => ports.log("warn", message)) };
}

const findNone: FindOptions = () => undefined;

async function finishRestore(
  directory: string,
  { id, records }: UnfinishedRestore,
  findOptions: FindOptions,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<FinishedRestore> {
  const begin = findRecord(records, "begin");
  const committed = findRecord(records, "committed");
  const base = { id, job: begin?.job ?? "", backup: begin?.backup ?? "", preRestore: describeSaved(records) };
  const outcome = committed === undefined ? "rolled-back" : "done";
  const unwell = committed === undefined ? undefined : describeUnwell(committed);
  const message =
    committed === undefined
      ? "rolled back after an interruption: the data is as it was before the restore"
      : `finished after an interruption: the restored data is in place${unwell === undefined ? "" : `, but ${unwell}`}`;
  try {
    await using journal = await resumeRestoreJournal(directory, id);
    const untold = committed === undefined ? await rollBackOrTell(records, journal, findOptions, ports, signal) : undefined;
    if (committed?.settle === true) await settleSteps(records, findOptions, signal);
    await removeAsideDir(directory, id);
    const trouble = unwell ?? untold;
    const told = untold === undefined ? message : `${message}, but ${untold}`;
    if (untold !== undefined) ports.log("error", `The restore ${id} was ${told}`);
    await journal.append({ type: "end", at: formatInstant(ports.now()), outcome, message: told.slice(0, 500) });
    return { ...base, outcome, message: told, ...(trouble === undefined ? {} : { unwell: trouble }) };
  } catch (error) {
    const failure = `The restore ${id} was interrupted and could not be ${committed === undefined ? "rolled back" : "finished"}: ${describeCause(error)}`;
    const hint = error instanceof HoldfastError && error.hint !== undefined ? { hint: error.hint } : {};
    ports.log("error", failure, hint);
    return { ...base, ...hint, outcome: "failed", message: failure };
  }
}

/**
 * Rolls back; when the data is put back and only the application cannot be started, that is told and is no reason to try for ever: its
 * start command may have been wrong, and has been corrected in the config since.
 */
async function rollBackOrTell(
  records: readonly RestoreRecord[],
  journal: RestoreJournal,
  findOptions: FindOptions,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<string | undefined> {
  const begin = findRecord(records, "begin");
  const isUntouched = findRecord(records, "stopping") === undefined || findRecord(records, "rolled-back") !== undefined;
  // It has been stopped, but the machine may have started it since: it must not run while its data is put back.
  if (!isUntouched && findRecord(records, "starting") === undefined) await stopAgain(begin?.stop ?? [], ports, signal);
  try {
    await rollBackRestore(records, journal, findOptions, ports, signal);
    const isStopped = findRecord(records, "stopping") !== undefined;
    return isStopped && begin !== undefined ? describeLeftStopped(begin)?.message : undefined;
  } catch (error) {
    if (isStartFailure(error)) return `the application could not be started: ${describeCause(error)}`;
    throw error;
  }
}

/** Of a rollback: its only hook that may fail it is the start, which comes when the data has been put back. */
function isStartFailure(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === "hook-failed";
}

/** What a restore that keeps its data has to say of the application. */
export function describeUnwell({ unstarted, unhealthy }: Pick<RecordOf<"committed">, "unstarted" | "unhealthy">): string | undefined {
  if (unstarted !== undefined) return `the application could not be started: ${unstarted}`;
  return unhealthy === undefined ? undefined : `the application is not well: ${unhealthy}`;
}

function describeSaved(records: readonly RestoreRecord[]): FinishedRestore["preRestore"] {
  const saved = findRecord(records, "saved");
  return saved === undefined ? undefined : { destination: saved.destination, id: saved.id, name: saved.name };
}

/** What a restore that is undone leaves behind where there is something that stops the application and nothing that starts it (--no-start). */
export function describeLeftStopped({
  stop,
  start,
  application,
}: {
  readonly stop: readonly unknown[];
  readonly start: readonly unknown[];
  readonly application?: "stays-stopped";
}): { readonly message: string; readonly hint: string } | undefined {
  if (application === undefined && (stop.length === 0 || start.length > 0)) return undefined;
  return { message: "the application stays stopped, because nothing was to start it", hint: "Start the application by hand." };
}

/** The error of a restore whose rollback failed too: the only state that needs a person. */
export function createStuckError(id: string, first: unknown, second: unknown): HoldfastError {
  if (isStartFailure(second)) {
    return new HoldfastError(
      "restore-stuck",
      `The restore failed (${describeCause(first)}); the data is as it was, but the application could not be started: ${describeCause(second)}`,
      { cause: first, hint: "Start the application by hand and correct its start command; `holdfast check` tries what it can of it." },
    );
  }
  return new HoldfastError(
    "restore-stuck",
    `The restore failed (${describeCause(first)}), and so did its rollback (${describeCause(second)})`,
    {
      cause: first,
      hint: `Both copies are still there, see restores/${id}.restore.jsonl in the state directory. Holdfast tries again by itself; \`holdfast status\` says when.`,
    },
  );
}
