import { describeBytes } from "../base/describe-amount.ts";
import { HoldfastError, reviveError } from "../base/errors.ts";
import type { ControlClient } from "../control/client.ts";
import type { TaskEnd, TaskLine } from "../operations/watch-task.ts";
import type { Terminal } from "./terminal.ts";

/** What a finished task tells; see dispatch. */
export interface TaskOutcome {
  readonly state: string;
  readonly summary: string;
  readonly runId: string;
  readonly backupId: string | null;
  readonly details: unknown;
}

/** Waits for a task, showing its progress. @throws what made it fail */
export async function followTask(client: ControlClient, task: string, terminal: Terminal, signal: AbortSignal): Promise<TaskOutcome> {
  let told = "";
  for await (const line of client.stream<TaskLine>({ method: "GET", path: `/tasks/${task}/watch` }, signal)) {
    if (line.ended) {
      terminal.clearStatus();
      return readEnd(line);
    }
    const text = describeLine(line);
    terminal.status(text);
    const phase = line.waitingBecause ?? line.progress?.phase ?? line.state;
    if (!process.stderr.isTTY && terminal.json === "text" && phase !== told) terminal.tell(phase);
    told = phase;
  }
  throw new HoldfastError("daemon-unreachable", "The daemon went away while the task was going on", {
    hint: "The task is durable: `holdfast status` tells what became of it.",
  });
}

function readEnd(line: TaskEnd): TaskOutcome {
  if (line.error !== null && line.state !== "done") throw reviveError(line.error);
  return line.result as unknown as TaskOutcome;
}

function describeLine(line: TaskLine & { readonly ended: false }): string {
  if (line.waitingBecause !== null) return line.waitingBecause;
  if (line.progress === null) return line.state;
  const { phase, datastore, bytes, totalBytes } = line.progress;
  const amount = bytes === null ? "" : `  ${describeBytes(bytes)}${totalBytes === null ? "" : ` of ${describeBytes(totalBytes)}`}`;
  return `${phase}${datastore === null ? "" : ` ${datastore}`}${amount}`;
}

/** The exit status of an outcome: a partial or suspect run is no plain success. */
export function exitOf(outcome: TaskOutcome): number {
  if (outcome.state === "ok") return 0;
  return outcome.state === "partial" || outcome.state === "suspect" ? 3 : 1;
}
