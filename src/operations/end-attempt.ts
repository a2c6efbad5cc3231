import { formatInstant } from "../base/clock.ts";
import { describeCause } from "../base/errors.ts";
import { redactText } from "../telemetry/redact.ts";
import { createStuckError, rollBackRestore, settleSteps, type FindOptions } from "./finish-restore.ts";
import { removeAsideDir, type RestoreJournal, type RestoreRecord } from "./restore-journal.ts";
import type { TaskPorts } from "./setup.ts";

/** A large server takes its time to load its former data, which begins anew when this is over. */
const rollBackMs = 90 * 60_000;
const settleMs = 10 * 60_000;

/** Which restore it is, and where its journal lies. */
interface Journalled {
  readonly journalDir: string;
  readonly restoreId: string;
}

interface Attempt {
  readonly records: readonly RestoreRecord[];
  readonly journal: RestoreJournal;
  readonly findOptions: FindOptions;
}

/** The data is in place and healthy: what is left to do may wait for the next start, but must not fail the restore. */
export async function endCommitted(
  restore: Journalled,
  { records, journal, findOptions }: Attempt,
  settle: boolean,
  ports: TaskPorts,
): Promise<void> {
  try {
    if (settle) {
      ports.progress({ phase: "removing what was put aside" });
      await settleSteps(records, findOptions, AbortSignal.timeout(settleMs));
    }
    await removeAsideDir(restore.journalDir, restore.restoreId);
    await journal.append({ type: "end", at: formatInstant(ports.now()), outcome: "done", message: "" });
  } catch (error) {
    ports.log("warn", `The restore is done; what it put aside will be removed later: ${describeCause(error)}`);
  }
}

/** Puts everything back, with time of its own: the task's signal may be the reason for the failure. */
export async function undoAttempt(
  restore: Journalled,
  { records, journal, findOptions }: Attempt,
  reason: unknown,
  ports: TaskPorts,
): Promise<void> {
  ports.progress({ phase: "rolling back" });
  ports.log("warn", `The restore failed and is rolled back: ${describeCause(reason)}`);
  try {
    await rollBackRestore(records, journal, findOptions, ports, AbortSignal.timeout(rollBackMs));
  } catch (error) {
    throw createStuckError(restore.restoreId, reason, error);
  }
  await removeAsideDir(restore.journalDir, restore.restoreId).catch((error: unknown) =>
    ports.log("warn", `The empty place of what had been put aside could not be removed: ${describeCause(error)}`),
  );
  await journal
    .append({
      type: "end",
      at: formatInstant(ports.now()),
      outcome: "rolled-back",
      message: redactText(describeCause(reason)).slice(0, 500),
    })
    .catch((error: unknown) => ports.log("error", `The end of the rollback could not be noted: ${describeCause(error)}`));
}
