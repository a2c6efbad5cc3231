import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { open, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { HoldfastError, readErrno } from "./errors.ts";
import { Secret } from "./secret.ts";
import { createAbortError, createChildEnvironment, runProgram } from "./subprocess.ts";
import { describeDuration } from "./parse-duration.ts";

/** A command of the operator's, to be run as if Holdfast were not there: outside its cgroup, its sandbox and its environment. */
export interface OutsideCommand {
  /** Program and arguments; no shell. */
  readonly command: readonly string[];
  /** Account that runs it; our own when absent. */
  readonly runAs?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | Secret>>;
  /** For its standard input; empty when absent. */
  readonly input?: string;
  readonly timeoutMs: number;
  /** What becomes of processes that it leaves behind when it ends by itself. At the time limit all of them are killed. */
  readonly background: "stays" | "ends";
  /** What becomes of its standard output: kept for messages (in the journal under systemd), or given back too. `journal` by default. */
  readonly output?: "journal" | "captured";
  /** The exit status of a good end; 0 by default. */
  readonly status?: number;
  /** Begins the name of its unit. */
  readonly name: string;
}

const outputKeptBytes = 4_000;
/** Of the output that is given back. */
const capturedBytes = 1 << 20;
const askTimeoutMs = 10_000;

/**
 * Runs a command to its end: as a transient unit under systemd, whose output is in the journal; otherwise as a process in a session of its
 * own. What it leaves running survives the end of the command, of the task and of Holdfast.
 * @returns the beginning of its standard output where that is captured, else nothing
 * @throws tool-failed with the end of its output and `details.exitCode`, timeout, cancelled
 */
export async function runOutside(command: OutsideCommand, signal: AbortSignal): Promise<string> {
  if (signal.aborted) throw createAbortError(signal, "the command was not started");
  await using captured = command.output === "captured" ? await openOutputFile() : undefined;
  await (usesSystemd() ? runAsUnit(command, captured, signal) : runDetached(command, captured, signal));
  return (await captured?.readStart()) ?? "";
}

/** Only root may ask for transient units, and only the bus tells when they end. */
export function usesSystemd(): boolean {
  const possible = process.env["HOLDFAST_HOOKS"] !== "direct" && process.getuid?.() === 0 && existsSync("/run/systemd/system");
  return possible && existsSync("/run/dbus/system_bus_socket");
}

async function runAsUnit(command: OutsideCommand, captured: OutputFile | undefined, signal: AbortSignal): Promise<void> {
  const unit = `${command.name}-${randomBytes(6).toString("hex")}.service`;
  await using variables = await openEnvironmentFile(command.env);
  const child = spawn("systemd-run", createUnitArguments(command, unit, variables?.fd), {
    cwd: "/",
    env: createChildEnvironment(),
    stdio: ["pipe", captured?.file.fd ?? "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-outputKeptBytes);
  });
  const kill = async (): Promise<void> => {
    await ask("systemctl", ["kill", "--kill-whom=all", "--signal=SIGKILL", unit]);
    child.kill("SIGKILL");
  };
  const end = await follow(child, command, kill, signal);
  // A status other than 0 must be the command's own: systemd-run says what it could not do.
  if (end === undefined && (command.status ?? 0) !== 0 && complaint !== "") throw new HoldfastError("tool-failed", complaint.trim());
  if (end === undefined) return;
  await ask("journalctl", ["--sync"]);
  const output = await ask("journalctl", [`_SYSTEMD_UNIT=${unit}`, "--output=cat", "--lines=5", "--quiet", "--no-pager"]);
  throw createFailure(end, `${complaint}\n${output}`);
}

/** The variables as systemd reads them. Arguments, and the properties of a unit, are for every user to see; this file has no name. */
async function openEnvironmentFile(env: OutsideCommand["env"]): Promise<FileHandle | undefined> {
  const lines = Object.entries(revealVariables(env)).map(([name, value]) => `${name}="${value.replaceAll(/["\\$`]/g, "\\$&")}"\n`);
  if (lines.length === 0) return undefined;
  const file = await openNamelessFile();
  try {
    await file.writeFile(lines.join(""));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function revealVariables(env: OutsideCommand["env"] = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]));
}

function createUnitArguments(command: OutsideCommand, unit: string, variables: number | undefined): readonly string[] {
  const stays = command.background === "stays";
  return [
    "--wait",
    "--collect",
    "--quiet",
    `--unit=${unit}`,
    // The command's output goes to the journal, or to a file: a pipe would break under what stays behind and writes on.
    ...(command.input === undefined && command.output !== "captured" ? [] : ["--pipe", "--property=StandardError=journal"]),
    ...(command.input === undefined || command.output === "captured" ? [] : ["--property=StandardOutput=journal"]),
    ...(stays
      ? ["--property=KillMode=process", "--property=SendSIGKILL=no"]
      : ["--property=KillMode=control-group", "--property=TimeoutStopSec=5"]),
    `--property=RuntimeMaxSec=${Math.ceil(command.timeoutMs / 1000) + 5}`,
    ...(command.runAs === undefined ? [] : [`--uid=${command.runAs}`]),
    ...(command.cwd === undefined ? [] : [`--working-directory=${command.cwd}`]),
    ...(variables === undefined ? [] : [`--property=EnvironmentFile=/proc/${process.pid}/fd/${variables}`]),
    "--",
    // systemd replaces variables in the arguments of every service.
    ...command.command.map((part) => part.replaceAll("$", "$$$$")),
  ];
}

/** The standard output of a program that is asked for help; empty when it cannot give any. */
async function ask(program: string, args: readonly string[]): Promise<string> {
  const result = await runProgram(program, args, { timeoutMs: askTimeoutMs }, AbortSignal.timeout(askTimeoutMs)).catch(() => undefined);
  return result?.stdout ?? "";
}

async function runDetached(command: OutsideCommand, captured: OutputFile | undefined, signal: AbortSignal): Promise<void> {
  const [program = "", ...args] = await createDirectCommand(command, signal);
  const { HOLDFAST_TASK: _, ...env } = createChildEnvironment(revealVariables(command.env));
  await using output = await openOutputFile();
  const child = spawn(program, args, {
    cwd: command.cwd ?? "/",
    env,
    detached: true,
    stdio: ["pipe", (captured ?? output).file.fd, output.file.fd],
  });
  const killGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing of it is left.
    }
  };
  const end = await follow(child, command, async () => Promise.resolve(killGroup()), signal);
  if (command.background === "ends") killGroup();
  if (end !== undefined) throw createFailure(end, `${(await captured?.readEnd()) ?? ""}\n${await output.readEnd()}`);
}

async function createDirectCommand({ command, runAs }: OutsideCommand, signal: AbortSignal): Promise<readonly string[]> {
  if (runAs === undefined) return command;
  const { stdout } = await runProgram("getent", ["passwd", "--", runAs], { accept: [0, 2], timeoutMs: askTimeoutMs }, signal);
  const gid = stdout.split(":")[3];
  if (gid === undefined) throw new HoldfastError("config-invalid", `there is no user "${runAs}"`);
  return ["setpriv", `--reuid=${runAs}`, `--regid=${gid}`, "--init-groups", "--", ...command];
}

interface OutputFile extends AsyncDisposable {
  readonly file: FileHandle;
  readStart(): Promise<string>;
  readEnd(): Promise<string>;
}

/** A file without a name, which goes with the last who has it open. */
async function openNamelessFile(): Promise<FileHandle> {
  const path = join(tmpdir(), `holdfast-output-${randomBytes(8).toString("hex")}`);
  const file = await open(path, "ax+", 0o600);
  try {
    await rm(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}

/** What stays behind may write to it for as long as it lives; a pipe would break under it. */
async function openOutputFile(): Promise<OutputFile> {
  const file = await openNamelessFile();
  return {
    file,
    async readStart() {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(capturedBytes), position: 0 });
      return buffer.subarray(0, bytesRead).toString();
    },
    async readEnd() {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read({
        buffer: Buffer.alloc(outputKeptBytes),
        position: Math.max(0, size - outputKeptBytes),
      });
      return buffer.subarray(0, bytesRead).toString();
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** How a command ended other than well. */
type BadEnd =
  | { readonly code: "timeout" | "tool-failed"; readonly message: string; readonly exitCode?: number }
  | { readonly error: HoldfastError };

/** The system says ENOENT of the program where it is the directory that is not there. */
function describeNoStart(error: Error, { cwd }: OutsideCommand): string {
  return readErrno(error) === "ENOENT" && cwd !== undefined && !existsSync(cwd)
    ? `it cannot be run in ${cwd}: there is no such directory`
    : error.message;
}

/** Waits for the end of the command itself: what it started may go on and keep its output open. */
async function follow(
  child: ChildProcess,
  command: OutsideCommand,
  kill: () => Promise<void>,
  signal: AbortSignal,
): Promise<BadEnd | undefined> {
  const limit = AbortSignal.timeout(command.timeoutMs);
  let killing: Promise<void> | undefined;
  const onAbort = (): void => {
    killing ??= kill();
  };
  for (const each of [limit, signal]) each.addEventListener("abort", onAbort, { once: true });
  try {
    const good = command.status ?? 0;
    let exitCode: number | undefined;
    const ended = new Promise<string | undefined>((resolve) => {
      child.once("error", (error) => resolve(describeNoStart(error, command)));
      child.once("exit", (code, by) => {
        exitCode = code ?? undefined;
        resolve(code === good ? undefined : by === null ? `it exited with ${code}` : `it was killed by ${by}`);
      });
    });
    // It need not read its input.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(command.input ?? "");
    const message = await ended;
    await killing;
    if (signal.aborted) return { error: createAbortError(signal, "the command was stopped") };
    if (limit.aborted) return { code: "timeout", message: `it did not end within ${describeDuration(command.timeoutMs)}` };
    return message === undefined ? undefined : { code: "tool-failed", message, ...(exitCode === undefined ? {} : { exitCode }) };
  } finally {
    for (const each of [limit, signal]) each.removeEventListener("abort", onAbort);
    child.stderr?.destroy();
  }
}

function createFailure(end: BadEnd, output: string): HoldfastError {
  if ("error" in end) return end.error;
  const plain = stripVTControlCharacters(output).replaceAll(/[^\P{Cc}\n\t]/gu, "");
  const last = plain.trim().split("\n").slice(-3).join("; ");
  const details = end.exitCode === undefined ? {} : { details: { exitCode: end.exitCode } };
  return new HoldfastError(end.code, last === "" ? end.message : `${end.message}: ${last}`, details);
}
