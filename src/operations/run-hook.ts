import { describeCause, HoldfastError } from "../base/errors.ts";
import { runOutside } from "../base/outside-program.ts";
import type { Hook } from "../config/config.ts";

/**
 * Runs a command of the operator's to its end, outside the daemon's cgroup and sandbox. What it starts in the background outlives Holdfast.
 * @throws hook-failed with the end of its output
 */
export async function runHook(hook: Hook, purpose: string, signal: AbortSignal): Promise<void> {
  try {
    await runOutside({ ...hook, background: "stays", name: "holdfast-hook" }, signal);
  } catch (error) {
    throw new HoldfastError("hook-failed", `The ${purpose} command \`${hook.command.join(" ")}\` failed: ${describeCause(error)}`, {
      cause: error,
      hint: "Run it by hand as the same user; `holdfast check` proves hooks from inside the service.",
    });
  }
}
