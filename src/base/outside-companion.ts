import { spawn } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { HoldfastError } from "./errors.ts";
import { usesSystemd } from "./outside-program.ts";
import { createChildEnvironment, tieToParent } from "./subprocess.ts";

const complaintKeptChars = 2_000;

/** A program of ours that outlives us, and knows when we die: its standard input ends. */
export interface Companion {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves when nothing of it can come any more, with the end of what it said on standard error while we lived. */
  readonly ended: Promise<string>;
  /** Leaves it to itself: its input ends, and we need not outlive it. */
  leave(): void;
}

export interface CompanionCommand {
  /** Program and arguments; no shell, and no secrets. */
  readonly command: readonly string[];
  /** Begins the name of its unit. */
  readonly name: string;
  /** How long it may take to end when the machine is shut down. */
  readonly stopMs: number;
}

/**
 * Starts it outside our process group and, under systemd, outside our cgroup, so that nothing that kills us kills it.
 * @throws tool-failed when it cannot be started
 */
export async function openCompanion({ command, name, stopMs }: CompanionCommand): Promise<Companion> {
  const isUnit = usesSystemd();
  const unit = `${name}-${randomBytes(6).toString("hex")}.service`;
  const properties = ["StandardError=journal", "KillMode=mixed", `TimeoutStopSec=${Math.ceil(stopMs / 1000)}`, "OOMScoreAdjust=-500"];
  const ask = ["--pipe", "--collect", "--quiet", `--unit=${unit}`, ...properties.map((each) => `--property=${each}`), "--"];
  const [program = "", args] = isUnit
    ? tieToParent("systemd-run", [...ask, ...command.map((part) => part.replaceAll("$", "$$$$"))])
    : ([command[0], command.slice(1)] as const);
  const { HOLDFAST_TASK: _, ...env } = createChildEnvironment();
  const hooks = process.env["HOLDFAST_HOOKS"];
  const child = spawn(program, args, {
    cwd: "/",
    env: isUnit ? createChildEnvironment() : { ...env, ...(hooks === undefined ? {} : { HOLDFAST_HOOKS: hooks }) },
    // What asks systemd for the unit is ours, and goes with us; it is not the companion.
    detached: !isUnit,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let complaint = "";
  child.stderr.on("error", () => undefined);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-complaintKeptChars);
  });
  child.stdin.on("error", () => undefined);
  child.stdout.on("error", () => undefined);
  const ended = once(child, "close").then(() => complaint.trim().split("\n").slice(-3).join("; "));
  ended.catch(() => undefined);
  try {
    await once(child, "spawn");
  } catch (error) {
    throw new HoldfastError("tool-failed", `${program} cannot be started`, { cause: error });
  }
  const leave = (): void => {
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    child.unref();
  };
  return { stdin: child.stdin, stdout: child.stdout, ended, leave };
}
