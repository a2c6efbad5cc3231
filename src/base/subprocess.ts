import { existsSync } from "node:fs";
import { execa } from "execa";
import type { Readable, Writable } from "node:stream";
import { HoldfastError } from "./errors.ts";
import { describeDuration } from "./parse-duration.ts";

/** How long a child has between SIGTERM and SIGKILL. */
const graceMs = 5_000;
/** How much of a child's standard error is kept: the last part, where the reason stands. */
const stderrKeptChars = 4_000;
/** What a line of standard error is cut at: longer than a file name of 4,096 escaped bytes with words around it. */
const lineKeptChars = 20_000;

export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to the minimal environment; the daemon's own environment is never passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** A file descriptor to read from, or `pipe`; nothing by default. */
  readonly stdin?: number | "pipe";
  /** A file descriptor to write to; a pipe by default. */
  readonly stdout?: number;
  readonly timeoutMs?: number;
  /** Gets each line of standard error as it comes, all of them before the program has finished, very long ones cut. Must not throw. */
  readonly onStderrLine?: (line: string) => void;
  /** Exit statuses that are no failure; 0 by default. */
  readonly accept?: readonly number[];
  readonly uid?: number;
  readonly gid?: number;
}

export interface FinishedProgram {
  readonly exitCode: number;
  readonly stderr: string;
}

/** A running child. It dies with this process; closing it kills it. */
export interface RunningProgram extends AsyncDisposable {
  readonly pid: number | undefined;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  /** Resolves when the child has ended with an accepted status, else rejects: tool-missing, tool-failed, timeout, cancelled. */
  readonly finished: Promise<FinishedProgram>;
}

/** The environment that every child gets: nothing of ours bleeds into tools (`TAR_OPTIONS`, `PG*`, `LD_PRELOAD` …). */
export function createChildEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept: Record<string, string> = {
    PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LC_ALL: "C.UTF-8",
    LANG: "C.UTF-8",
  };
  for (const name of ["HOME", "TMPDIR", "TZ", "HOLDFAST_TASK", "HOLDFAST_TEST_RUN"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return { ...kept, ...extra };
}

/** The argument list that runs a program so that the kernel kills it when this process dies. */
export function tieToParent(program: string, args: readonly string[]): readonly [string, readonly string[]] {
  return ["setpriv", ["--pdeathsig", "KILL", "--", program, ...args]];
}

/** Starts a program: argument list, never a shell. Its standard output must be read (or be a descriptor). */
export function openProgram(program: string, args: readonly string[], options: ProgramOptions, signal: AbortSignal): RunningProgram {
  let stderr = "";
  const child = startChild(program, args, options, signal);
  const lines = options.onStderrLine === undefined ? undefined : createLineSplitter(options.onStderrLine);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrKeptChars);
    lines?.push(text);
  });
  child.stderr?.on("end", () => lines?.end());
  const finished = settle(child, program, options, () => stderr, signal);
  // Whoever closes a program without waiting for it has no use for its failure.
  finished.catch(() => undefined);
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    finished,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.catch(() => undefined);
    },
  };
}

function createLineSplitter(onLine: (line: string) => void): { readonly push: (text: string) => void; readonly end: () => void } {
  let rest = "";
  return {
    push(text) {
      const [first = "", ...others] = text.split("\n");
      rest = (rest + first).slice(0, lineKeptChars);
      for (const next of others) {
        onLine(rest);
        rest = next.slice(0, lineKeptChars);
      }
    },
    end() {
      if (rest !== "") onLine(rest);
      rest = "";
    },
  };
}

function startChild(program: string, args: readonly string[], options: ProgramOptions, signal: AbortSignal) {
  const [command, commandArgs] = tieToParent(program, args);
  return execa(command, commandArgs, {
    cwd: options.cwd ?? "/",
    env: createChildEnvironment(options.env),
    extendEnv: false,
    // execa takes any descriptor; its types name only 0 to 9.
    stdin: (options.stdin ?? "ignore") as "pipe",
    stdout: (options.stdout ?? "pipe") as "pipe",
    stderr: "pipe",
    buffer: false,
    reject: false,
    cancelSignal: signal,
    forceKillAfterDelay: graceMs,
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
}

async function settle(
  child: ReturnType<typeof startChild>,
  program: string,
  options: ProgramOptions,
  readStderr: () => string,
  signal: AbortSignal,
): Promise<FinishedProgram> {
  const result = await child;
  const stderr = readStderr().trim();
  if (signal.aborted || result.isCanceled) throw createAbortError(signal, `${program} was stopped`);
  if (result.timedOut)
    throw new HoldfastError("timeout", `${program} did not end within ${describeDuration(options.timeoutMs ?? 0)}`, {
      details: { stderr },
    });
  if (result.code === "ENOENT" && options.cwd !== undefined && !existsSync(options.cwd)) {
    throw new HoldfastError("tool-failed", `${program} cannot be run in ${options.cwd}: there is no such directory`, {
      hint: "Make the directory, or correct the config.",
    });
  }
  // A client of containers exits with 127 as well, when the container has not the program.
  if ((result.exitCode === 127 && /^setpriv: failed to execute /m.test(stderr)) || result.code === "ENOENT") {
    throw new HoldfastError("tool-missing", `${program} is not installed`, {
      hint: `Install the package that has ${program}, then run \`holdfast check\`.`,
    });
  }
  if (result.exitCode === undefined || !(options.accept ?? [0]).includes(result.exitCode)) {
    const how = result.signal === undefined ? `exited with ${result.exitCode ?? "no status"}` : `was killed by ${result.signal}`;
    throw new HoldfastError("tool-failed", `${program} ${how}${describeComplaint(stderr)}`, {
      ...(result.signal === "SIGKILL" ? { hint: killedHint } : {}),
      details: { exitCode: result.exitCode ?? null, signal: result.signal ?? null, stderr },
    });
  }
  return { exitCode: result.exitCode, stderr };
}

/** We kill nothing without saying so before: this was somebody else. */
const killedHint =
  "Most likely the kernel, because memory ran out: `journalctl -k` tells. Give the machine or the unit (MemoryMax=) more, or run less at once (settings.concurrency).";

/** The last lines; indented ones go on with the line before, and would crowd out the reason. */
function describeComplaint(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const heads = lines.filter((line) => !/^\s/.test(line));
  return lines.length === 0
    ? ""
    : `: ${(heads.length > 0 ? heads : lines)
        .slice(-3)
        .map((line) => line.trim())
        .join("; ")}`;
}

/** The error of an aborted signal: its reason where that says more than "aborted". */
export function createAbortError(signal: AbortSignal, message: string): HoldfastError {
  const reason: unknown = signal.reason;
  if (reason instanceof HoldfastError) return reason;
  return new HoldfastError("cancelled", message, { cause: reason });
}

/** Runs a program to its end and gives its standard output, which must be small. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions & { readonly input?: string },
  signal: AbortSignal,
): Promise<FinishedProgram & { readonly stdout: string }> {
  await using child = openProgram(program, args, options.input === undefined ? options : { ...options, stdin: "pipe" }, signal);
  if (options.input !== undefined) {
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
  }
  let stdout = "";
  if (child.stdout !== null) {
    child.stdout.setEncoding("utf8");
    for await (const text of child.stdout) stdout += String(text);
  }
  return { ...(await child.finished), stdout };
}

/**
 * The standard output of a program as a stream. The iteration ends normally only when the program has exited with an accepted status:
 * a truncated output is an error, never a short success.
 */
export async function* streamProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, FinishedProgram, undefined> {
  await using child = openProgram(program, args, options, signal);
  if (child.stdout !== null) for await (const chunk of child.stdout) yield chunk as Uint8Array;
  return await child.finished;
}
