import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { HoldfastError, readErrno } from "../base/errors.ts";
import { createAbortError, createChildEnvironment, tieToParent } from "../base/subprocess.ts";

export interface FlockRequest {
  readonly descriptor: number;
  readonly mode: "exclusive" | "shared";
}

/** Exit status of flock(1) that means "somebody else has it"; none of its own. */
const takenStatus = 75;
const timeoutMs = 30_000;
const toolsHint = "Install the package util-linux: it has flock and setpriv.";

/** Locks what it inherited, one after the other; names the first that is taken. The locks belong to the open files, so they outlive it. */
const script = `for request do
  flock --nonblock --conflict-exit-code ${takenStatus} "--\${request%%:*}" "\${request##*:}"
  status=$?
  [ $status -eq 0 ] || { echo "\${request##*:}"; exit $status; }
done`;

/**
 * Takes flock(2) locks on open descriptors without waiting, through flock(1): Node has no such call. All or none from the caller's
 * view: on any failure it must close the descriptors, which lets go of those that were taken.
 * @returns the place of the first request that is taken by somebody else; undefined when all are ours
 */
export async function flockDescriptors(requests: readonly FlockRequest[], signal: AbortSignal): Promise<number | undefined> {
  if (signal.aborted) throw createAbortError(signal, "Taking the locks was stopped");
  // In the child the descriptors are 3, 4, …
  const orders = requests.map(({ mode }, place) => `${mode}:${place + 3}`);
  const [program, args] = tieToParent("sh", ["-c", script, "sh", ...orders]);
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe", ...requests.map(({ descriptor }) => descriptor)],
    env: createChildEnvironment(),
    cwd: "/",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    signal,
  });
  if (child.stdout === null || child.stderr === null) throw new HoldfastError("internal", "Bug: flock was started without pipes");
  try {
    const [[status], failed, reason] = await Promise.all([
      once(child, "close") as Promise<[number | null]>,
      text(child.stdout),
      text(child.stderr),
    ]);
    if (status === 0) return undefined;
    if (status === takenStatus) return Number(failed.trim()) - 3;
    throw new HoldfastError(
      "tool-failed",
      `Cannot take a lock: flock ${status === null ? "was killed" : `exited with ${status}`}: ${reason.trim()}`,
      {
        hint: toolsHint,
      },
    );
  } catch (error) {
    if (signal.aborted) throw createAbortError(signal, "Taking the locks was stopped");
    if (readErrno(error) === "ENOENT")
      throw new HoldfastError("tool-missing", `${program} is not installed`, { hint: toolsHint, cause: error });
    throw error;
  }
}
