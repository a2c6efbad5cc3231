import { HoldfastError, readErrno, reviveError } from "../base/errors.ts";
import type { ControlClient } from "../control/client.ts";
import type { TaskEnd, TaskLine } from "../operations/watch-task.ts";
import { ProgressTeller, type ProgressLine } from "./tell-progress.ts";
import type { Terminal } from "./terminal.ts";

/** What a finished task tells; see dispatch. */
export interface TaskOutcome {
  readonly state: string;
  readonly summary: string;
  readonly runId: string;
  readonly backupId: string | null;
  readonly details: unknown;
}

/**
 * Waits for a task, showing its progress. Ending the wait does not end the task.
 * @throws what made the task fail; cancelled when the wait was interrupted
 */
export async function followTask(client: ControlClient, task: string, terminal: Terminal, signal: AbortSignal): Promise<TaskOutcome> {
  const teller = new ProgressTeller(terminal);
  try {
    for await (const line of client.stream<TaskLine>({ method: "GET", path: `/tasks/${encodeURIComponent(task)}/watch` }, signal)) {
      if (line.ended) return readEnd(line);
      teller.show(readProgress(line), line.progress?.datastores ?? []);
    }
  } catch (error) {
    if (signal.aborted) throw createInterrupted(task);
    if (readErrno(error) !== "ECONNRESET") throw error;
  } finally {
    terminal.clearStatus();
  }
  if (signal.aborted) throw createInterrupted(task);
  throw new HoldfastError("daemon-unreachable", "The daemon went away while the task was going on", {
    hint: `The task is durable: \`holdfast watch ${task}\` tells what became of it once the daemon is there again.`,
    details: { task },
  });
}

function createInterrupted(task: string): HoldfastError {
  return new HoldfastError("cancelled", "Not waiting any more; the task goes on", {
    hint: `\`holdfast watch ${task}\` follows it again, \`holdfast cancel ${task}\` ends it.`,
    details: { task },
  });
}

function readEnd(line: TaskEnd): TaskOutcome {
  if (line.error !== null && line.state !== "done") throw reviveError(line.error);
  if (line.state !== "done")
    throw new HoldfastError(line.state === "cancelled" ? "cancelled" : "interrupted", `The task was ${line.state}`);
  return line.result as unknown as TaskOutcome;
}

/** One that waits, or is about to begin, says so in the place of a phase. */
function readProgress({ waitingBecause, progress, state }: TaskLine & { readonly ended: false }): ProgressLine {
  if (waitingBecause === null && progress !== null) return progress;
  return { phase: waitingBecause ?? state, datastore: null, bytes: null, totalBytes: null };
}

/** The exit status of an outcome: a partial or suspect run is no plain success. */
export function exitOf(outcome: TaskOutcome): number {
  if (outcome.state === "ok") return 0;
  return outcome.state === "partial" || outcome.state === "suspect" ? 3 : 1;
}
