import { spawn, type ChildProcess } from "node:child_process";
import { HoldfastError, reportError, reviveError } from "../base/errors.ts";
import { packSecrets } from "../base/pack-secrets.ts";
import { createChildEnvironment, tieToParent } from "../base/subprocess.ts";
import {
  protocolVersion,
  reportSchema,
  type WorkerLogLevel,
  type WorkerOrder,
  type WorkerProgress,
  type WorkerReport,
} from "./messages.ts";

/** How long a cancelled worker may clean up before its process group is killed. */
const cleanUpMs = 10_000;
const stderrKeptChars = 4_000;

export interface WorkerOrderOptions {
  /** The program's own entry: `main.ts` or `main.js`; it is called with the argument `worker`. */
  readonly entry: string;
  readonly kind: string;
  /** Survives JSON, Secrets included. */
  readonly input: unknown;
  /** Value of HOLDFAST_TASK in the worker and all its children. */
  readonly marker: string;
  /** Descriptors of held locks: they stay locked for as long as the worker lives. */
  readonly lockFds: readonly number[];
  readonly nice?: number;
  readonly ionice?: "idle" | "best-effort";
}

export interface WorkerEars {
  readonly onProgress: (progress: WorkerProgress) => void;
  readonly onLog: (level: WorkerLogLevel, message: string, details?: Readonly<Record<string, unknown>>) => void;
}

export interface WorkerHandle {
  /** Also the id of its process group. */
  readonly pid: number;
  /** The task's result, or its error; `worker-died` when it ended without either. Settles only when the process is gone. */
  readonly finished: Promise<unknown>;
}

/**
 * Starts a child process for one task, in a process group of its own. Aborting asks it to clean up and kills its group if it does not.
 */
export function openWorker(options: WorkerOrderOptions, ears: WorkerEars, signal: AbortSignal): WorkerHandle {
  const [command, args] = tieToParent(...createCommand(options));
  const child = spawn(command, args, {
    cwd: "/",
    detached: true,
    env: createChildEnvironment({ HOLDFAST_TASK: options.marker, ...readCompileCache() }),
    stdio: ["ignore", "ignore", "pipe", "ipc", ...options.lockFds],
  });
  return { pid: child.pid ?? 0, finished: follow(child, options, ears, signal) };
}

/** It is the same program: where the daemon was told to keep what it has compiled, the worker starts in half the time, too. */
function readCompileCache(): Record<string, string> {
  const path = process.env["NODE_COMPILE_CACHE"];
  return path === undefined ? {} : { NODE_COMPILE_CACHE: path };
}

function createCommand({ entry, nice, ionice }: WorkerOrderOptions): [string, readonly string[]] {
  const node = [process.execPath, ...process.execArgv, entry, "worker"];
  const niced = nice === undefined ? node : ["nice", "-n", String(nice), ...node];
  const idled =
    ionice === undefined ? niced : ["ionice", "-c", ionice === "idle" ? "3" : "2", ...(ionice === "idle" ? [] : ["-n", "7"]), ...niced];
  return [idled[0] ?? process.execPath, idled.slice(1)];
}

async function follow(child: ChildProcess, options: WorkerOrderOptions, ears: WorkerEars, signal: AbortSignal): Promise<unknown> {
  let outcome: Extract<WorkerReport, { type: "done" | "failed" }> | undefined;
  let stderr = "";
  let killTimer: NodeJS.Timeout | undefined;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrKeptChars);
  });
  const send = (order: WorkerOrder): void => {
    if (child.connected) child.send(order, () => undefined);
  };
  child.on("message", (message: unknown) => {
    const parsed = reportSchema.safeParse(message);
    if (!parsed.success) return ears.onLog("error", "The worker sent a message of another version");
    const report = parsed.data;
    if (report.type === "ready") send({ v: protocolVersion, type: "start", kind: options.kind, input: packSecrets(options.input) });
    else if (report.type === "progress") ears.onProgress(report.progress);
    else if (report.type === "log") ears.onLog(report.level, report.message, report.details);
    else outcome = report;
  });
  const onAbort = (): void => {
    send({ v: protocolVersion, type: "cancel", error: reportError(signal.reason) });
    killTimer = setTimeout(() => killGroup(child), cleanUpMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  const ended = await new Promise<{ readonly code: number | null; readonly by: string | null; readonly error?: Error }>((resolve) => {
    child.once("error", (error) => resolve({ code: null, by: null, error }));
    child.once("close", (code, by) => resolve({ code, by }));
  });
  signal.removeEventListener("abort", onAbort);
  clearTimeout(killTimer);
  // Whatever the worker left behind in its group goes with it.
  killGroup(child);
  if (outcome?.type === "failed") throw reviveError(outcome.error);
  if (outcome?.type === "done" && ended.code === 0) return outcome.result;
  if (signal.aborted)
    throw signal.reason instanceof HoldfastError ? signal.reason : new HoldfastError("cancelled", "The run was cancelled");
  throw describeDeath(ended, stderr);
}

function describeDeath(
  ended: { readonly code: number | null; readonly by: string | null; readonly error?: Error },
  stderr: string,
): HoldfastError {
  const how = ended.error?.message ?? (ended.by === null ? `exited with ${ended.code}` : `was killed by ${ended.by}`);
  const last = stderr.trim().split("\n").slice(-3).join("; ");
  return new HoldfastError("worker-died", `The worker ${how} without a result${last === "" ? "" : `: ${last}`}`, {
    hint: "If it was killed by SIGKILL, look for the out-of-memory killer in `journalctl -k`.",
    details: { stderr },
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}
