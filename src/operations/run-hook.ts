import { describeCause, HoldfastError } from "../base/errors.ts";
import { runOutside } from "../base/outside-program.ts";
import type { CommandCheck, Hook } from "../config/config.ts";
import { redactText } from "../telemetry/redact.ts";
import { describeHook } from "./describe-hook.ts";

/**
 * Runs a command of the operator's to its end, outside the daemon's cgroup and sandbox. What it starts in the background outlives Holdfast.
 * @returns its standard output, or the beginning of it, where the hook is one of those whose output says something; else nothing
 * @throws hook-failed with the end of its output
 */
export async function runHook(hook: Hook | CommandCheck, purpose: string, signal: AbortSignal): Promise<string> {
  try {
    const output = "contains" in hook ? ("captured" as const) : ("journal" as const);
    return await runOutside({ ...hook, background: "stays", name: "holdfast-hook", output }, signal);
  } catch (error) {
    const why = redactText(describeCause(error));
    throw new HoldfastError("hook-failed", `The ${purpose} command \`${describeHook({ command: hook.command })}\` failed: ${why}`, {
      cause: error,
      hint: "Run it by hand as the same user; `holdfast check` proves hooks from inside the service.",
    });
  }
}
