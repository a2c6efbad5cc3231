import { formatInstant } from "../base/clock.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Hook } from "../config/config.ts";
import type { SwapStep } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { findUnfinishedRestores, openRestoreJournal, type RestoreJournal, type RestoreRecord } from "./restore-journal.ts";
import { runHook } from "./run-hook.ts";
import type { TaskPorts } from "./setup.ts";

type StepRecord = Extract<RestoreRecord, { type: "step" }>;

/** Undoes the recorded steps, last datastore first. Idempotent. */
export async function rollBackSteps(records: readonly RestoreRecord[], signal: AbortSignal): Promise<void> {
  for (const { kind, steps } of groupSteps(records).toReversed()) await findDatastoreDriver(kind).rollBack(steps, signal);
}

/** Removes what the swaps put aside. Idempotent. */
export async function settleSteps(records: readonly RestoreRecord[], signal: AbortSignal): Promise<void> {
  for (const { kind, steps } of groupSteps(records)) await findDatastoreDriver(kind).settle(steps, signal);
}

function groupSteps(records: readonly RestoreRecord[]): readonly { readonly kind: string; readonly steps: readonly SwapStep[] }[] {
  const groups = new Map<string, { kind: string; steps: SwapStep[] }>();
  for (const record of records.filter((candidate): candidate is StepRecord => candidate.type === "step")) {
    const group = groups.get(record.datastore) ?? { kind: record.kind, steps: [] };
    group.steps.push(record.step);
    groups.set(record.datastore, group);
  }
  return [...groups.values()];
}

/** Starts the application again; one more try, then it is reported. */
export async function startAgain(start: readonly Hook[], signal: AbortSignal): Promise<void> {
  for (const hook of start) {
    try {
      await runHook(hook, "start", signal);
    } catch {
      await runHook(hook, "start", signal);
    }
  }
}

export interface FinishedRestore {
  readonly id: string;
  readonly job: string;
  readonly backup: string;
  readonly outcome: "done" | "rolled-back" | "failed";
  readonly message: string;
}

/**
 * Ends restores that a crash left half-way: committed ones are settled, others rolled back, and the stopped application is started
 * again. To be called before any task runs. A restore that cannot be ended stays unfinished and is reported as `failed`.
 */
export async function finishRestores(directory: string, ports: TaskPorts, signal: AbortSignal): Promise<readonly FinishedRestore[]> {
  const finished: FinishedRestore[] = [];
  for (const { id, records } of await findUnfinishedRestores(directory)) {
    await using journal = await openRestoreJournal(directory, id);
    finished.push(await finishRestore(id, records, journal, ports, signal));
  }
  return finished;
}

async function finishRestore(
  id: string,
  records: readonly RestoreRecord[],
  journal: RestoreJournal,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<FinishedRestore> {
  const begin = records.find((record) => record.type === "begin");
  const base = { id, job: begin?.job ?? "", backup: begin?.backup ?? "" };
  const committed = records.some((record) => record.type === "committed");
  const stopped = records.some((record) => record.type === "stopping");
  try {
    if (committed) await settleSteps(records, signal);
    else await rollBackSteps(records, signal);
    if (stopped && begin !== undefined) await startAgain(begin.start, signal);
  } catch (error) {
    const message = `The restore ${id} was interrupted and could not be ${committed ? "finished" : "rolled back"}: ${describeCause(error)}`;
    ports.log("error", message);
    return { ...base, outcome: "failed", message };
  }
  const outcome = committed ? "done" : "rolled-back";
  const message = committed
    ? "finished after an interruption: the restored data is in place"
    : "rolled back after an interruption: the data is as it was before the restore";
  await journal.append({ type: "end", at: formatInstant(ports.now()), outcome, message });
  return { ...base, outcome, message };
}

/** The error of a restore whose rollback failed too: the only state that needs a person. */
export function createStuckError(id: string, first: unknown, second: unknown): HoldfastError {
  return new HoldfastError(
    "restore-stuck",
    `The restore failed (${describeCause(first)}), and so did its rollback (${describeCause(second)})`,
    {
      cause: first,
      hint: `Both copies are still there, see restores/${id}.restore.jsonl in the state directory. Holdfast tries again when it starts.`,
    },
  );
}
