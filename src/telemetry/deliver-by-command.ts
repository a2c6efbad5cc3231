import { spawn } from "node:child_process";
import { HoldfastError } from "../base/errors.ts";
import { createChildEnvironment } from "../base/subprocess.ts";
import type { CommandTarget } from "./channel.ts";
import type { Message } from "./notification.ts";

/** Runs the channel's program; at the abort its whole process group is killed. */
export async function deliverByCommand(channel: CommandTarget, message: Message, signal: AbortSignal): Promise<void> {
  const [program = "", ...args] = channel.command;
  const env = createChildEnvironment(describeInEnvironment(message));
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", program, ...args], {
    cwd: "/",
    env,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // A program need not read its input.
  child.stdin.on("error", () => undefined);
  child.stdin.end(JSON.stringify(message));
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group is gone already.
    }
  };
  if (signal.aborted) kill();
  signal.addEventListener("abort", kill, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", () => reject(new HoldfastError("tool-failed", "its program cannot be started", { retryable: true })));
      child.once("exit", (code, by) => {
        if (code === 0) resolve();
        else if (code === 127)
          reject(new HoldfastError("tool-missing", "its program was not found (exit status 127)", { retryable: true }));
        else
          reject(
            new HoldfastError("tool-failed", by === null ? `its program exited with ${code}` : `its program was killed by ${by}`, {
              retryable: true,
            }),
          );
      });
    });
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

/** The main fields, for programs that do not read JSON. */
export function describeInEnvironment(message: Message): Record<string, string> {
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
