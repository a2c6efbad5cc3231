import { HoldfastError } from "../base/errors.ts";
import { runOutside } from "../base/outside-program.ts";
import type { CommandTarget } from "./channel.ts";
import type { Message } from "./notification.ts";

/**
 * Runs the channel's program, outside the sandbox: what sends mail writes to spools and changes its group. It is killed at the time limit,
 * and with it all that it started.
 */
export async function deliverByCommand(channel: CommandTarget, message: Message, signal: AbortSignal): Promise<void> {
  const { command, timeoutMs } = channel;
  const env = describeInEnvironment(message);
  try {
    await runOutside({ command, env, input: JSON.stringify(message), timeoutMs, background: "ends", name: "holdfast-notify" }, signal);
  } catch (error) {
    // Its output may quote its arguments, which may hold secrets.
    throw new HoldfastError("tool-failed", describeEnd(error), { retryable: true });
  }
}

function describeEnd(error: unknown): string {
  const message = error instanceof HoldfastError ? error.message : "";
  const [end] = /^it (exited with \d+|was killed by \w+|did not end within \d+\w+(?: \d+\w+)*)/.exec(message) ?? [];
  return end === undefined ? "its program cannot be started" : `its program ${end.slice("it ".length)}`;
}

/** The main fields, for programs that do not read JSON. */
function describeInEnvironment(message: Message): Record<string, string> {
  return {
    HOLDFAST_EVENT_ID: message.id,
    HOLDFAST_EVENT_AT: message.at,
    HOLDFAST_EVENT_HOST: message.host,
    HOLDFAST_EVENT_KIND: message.kind,
    HOLDFAST_EVENT_JOB: message.job ?? "",
    HOLDFAST_EVENT_RUN_ID: message.runId ?? "",
    HOLDFAST_EVENT_TITLE: message.title,
    HOLDFAST_EVENT_TEXT: message.text,
  };
}
