import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { createChildEnvironment, runProgram } from "../base/subprocess.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Hook } from "../config/config.ts";

const outputKeptChars = 2_000;

/**
 * Runs a command of the operator's to its end. Under systemd it becomes a transient unit of its own, outside the daemon's cgroup and
 * sandbox; otherwise a process in a session of its own. What it starts in the background outlives Holdfast.
 * @throws hook-failed with the end of its output
 */
export async function runHook(hook: Hook, purpose: string, signal: AbortSignal): Promise<void> {
  try {
    if (usesSystemd()) await runAsUnit(hook, signal);
    else await runDetached(hook, signal);
  } catch (error) {
    throw new HoldfastError("hook-failed", `The ${purpose} command \`${hook.command.join(" ")}\` failed: ${describeCause(error)}`, {
      cause: error,
      hint: "Run it by hand as the same user; `holdfast check` proves hooks from inside the service.",
    });
  }
}

function usesSystemd(): boolean {
  return (
    process.env["HOLDFAST_HOOKS"] !== "direct" &&
    process.getuid?.() === 0 &&
    existsSync("/run/systemd/system") &&
    existsSync("/run/systemd/private")
  );
}

async function runAsUnit(hook: Hook, signal: AbortSignal): Promise<void> {
  const unit = `holdfast-hook-${randomBytes(6).toString("hex")}`;
  const args = [
    "--wait",
    "--pipe",
    "--collect",
    "--quiet",
    `--unit=${unit}`,
    // A daemonised application stays: only the command itself belongs to the unit.
    "--property=KillMode=process",
    "--property=SendSIGKILL=no",
    `--property=RuntimeMaxSec=${Math.ceil(hook.timeoutMs / 1000)}`,
    ...(hook.runAs === undefined ? [] : [`--uid=${hook.runAs}`]),
    ...(hook.cwd === undefined ? [] : [`--working-directory=${hook.cwd}`]),
    ...Object.entries(hook.env ?? {}).map(([name, value]) => `--setenv=${name}=${value}`),
    "--",
    ...hook.command,
  ];
  await runProgram("systemd-run", args, { timeoutMs: hook.timeoutMs + 5_000 }, signal);
}

async function runDetached(hook: Hook, signal: AbortSignal): Promise<void> {
  const [program = "", ...args] = hook.command;
  const [command, commandArgs] =
    hook.runAs === undefined
      ? [program, args]
      : ["setpriv", [`--reuid=${hook.runAs}`, `--regid=${hook.runAs}`, "--init-groups", "--", program, ...args]];
  const { HOLDFAST_TASK: _, ...env } = createChildEnvironment(hook.env);
  const child = spawn(command, commandArgs, { cwd: hook.cwd ?? "/", env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const keep = (text: string): void => {
    output = (output + text).slice(-outputKeptChars);
  };
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(hook.timeoutMs)]);
  const kill = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  limit.addEventListener("abort", kill, { once: true });
  // `exit`, not `close`: what it started in the background may keep the pipes open.
  const ended = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, by) => resolve(code === 0 ? undefined : by === null ? `it exited with ${code}` : `it was killed by ${by}`));
  });
  limit.removeEventListener("abort", kill);
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
  if (ended === undefined) return;
  const why = limit.aborted && !signal.aborted ? `it did not end within ${hook.timeoutMs} ms` : ended;
  throw new HoldfastError("tool-failed", output.trim() === "" ? why : `${why}: ${output.trim().split("\n").slice(-3).join("; ")}`);
}
