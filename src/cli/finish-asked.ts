import type { ControlClient } from "../control/client.ts";
import { exitOf, followTask, type TaskOutcome } from "./follow-task.ts";
import type { VerbContext } from "./verb.ts";

/** What the daemon says when it has taken a request that becomes a task. */
export interface AskedTask {
  readonly task: string;
}

/** The end of every verb that asks for a task: wait, print the outcome, exit by it; `--detach` prints the task and goes. */
export async function finishAsked(
  { terminal, signal }: VerbContext,
  client: ControlClient,
  asked: AskedTask,
  options: { readonly detach?: boolean; readonly describe?: (outcome: TaskOutcome) => readonly string[]; readonly more?: object },
): Promise<number> {
  if (options.detach === true) {
    if (terminal.json === "json") terminal.printJson(asked);
    else terminal.print(asked.task);
    return 0;
  }
  const outcome = await followTask(client, asked.task, terminal, signal);
  if (terminal.json === "json") terminal.printJson({ task: asked.task, ...outcome, ...options.more });
  else {
    terminal.print(`${paintState(terminal, outcome.state)}: ${outcome.summary}`);
    for (const line of options.describe?.(outcome) ?? []) terminal.print(line);
  }
  return exitOf(outcome);
}

/** A state word in the colour that it has everywhere. */
export function paintState({ colors }: VerbContext["terminal"], state: string): string {
  if (["ok", "verified", "keep"].includes(state)) return colors.green(state);
  if (["failed", "interrupted", "DAMAGED", "remove"].includes(state)) return colors.red(state);
  return ["running", "waiting", "never"].includes(state) ? colors.dim(state) : colors.yellow(state);
}
