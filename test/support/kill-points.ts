import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createId } from "../../src/base/ids.ts";
import type { OperationKind, OperationSetup } from "../../src/operations/run-task.ts";
import { worldPaths, type SmallWorld } from "./small-world.ts";

const programs = join(import.meta.dirname, "../fixtures/programs");

/** One call, in one of the processes of an operation, that changes what the disk keeps (or starts a process). */
export interface KillPoint {
  /** "0" is the worker; "0.2" its second child. */
  readonly process: string;
  readonly n: number;
  readonly call: string;
  readonly subject: string;
}

export type KillFault = "before" | "after" | "EIO" | "ENOSPC";

/** What a worker does, or what the daemon does at its start with restores that were interrupted. */
export type ActKind = OperationKind | "finish";
export type ActSetup<Kind extends ActKind> = Kind extends OperationKind ? OperationSetup<Kind> : FinishSetup;

export interface FinishSetup {
  readonly journalDir: string;
  /** Of each datastore by its name, as the config would have them. */
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface OperationRun {
  readonly outcome: "done" | "failed" | "killed";
  /** What `done` says, as JSON; what `failed` says: code and message. */
  readonly said: string;
  readonly stderr: string;
  /** HOLDFAST_TASK of the program and its children. */
  readonly marker: string;
}

export interface OperationFault {
  readonly point: Pick<KillPoint, "process" | "n">;
  readonly fault: KillFault;
}

/** Runs an operation in a process of its own, as a worker would, with a fault at a point or without. */
export async function operate<Kind extends ActKind>(
  { root }: SmallWorld,
  kind: Kind,
  setup: ActSetup<Kind>,
  options: {
    readonly at?: OperationFault;
    readonly log?: string;
    readonly cache?: string;
    /** Of the program; another way to faults than `at`. */
    readonly preload?: string;
    readonly variables?: NodeJS.ProcessEnv;
  } = {},
): Promise<OperationRun> {
  const { at, log, cache, preload = "fault-preload.ts", variables = {} } = options;
  const setupPath = join(root, "setup.json");
  writeFileSync(setupPath, JSON.stringify(setup));
  const marker = createId(Date.now());
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOLDFAST_TASK: marker,
    TMPDIR: worldPaths(root).temporary,
    HOLDFAST_HOOKS: "direct",
    NODE_OPTIONS: `--import ${join(programs, preload)}`,
    ...variables,
    ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
    ...(at === undefined ? {} : { HOLDFAST_FAULT: JSON.stringify({ ...at.point, fault: at.fault }) }),
    ...(log === undefined ? {} : { HOLDFAST_FAULT_LOG: log }),
  };
  delete env["NODE_TEST_CONTEXT"];
  const child = spawn(process.execPath, [join(programs, "operate-once.ts"), kind, setupPath], { env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close");
  const [, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  // Children that outlive it for a moment keep the pipes open.
  if (signal !== "SIGKILL") await closed;
  child.stdout.destroy();
  child.stderr.destroy();
  const [, word, said = ""] = /^(done|failed) (.*)$/m.exec(stdout) ?? [];
  if (signal === "SIGKILL") return { outcome: word === "done" ? "done" : "killed", said, stderr, marker };
  if (word !== "done" && word !== "failed") throw new Error(`the program said nothing: ${stdout}${stderr}`);
  return { outcome: word, said, stderr, marker };
}

/** The calls of a clean run, in order. The world is used up. */
export async function listKillPoints<Kind extends ActKind>(
  world: SmallWorld,
  kind: Kind,
  setup: ActSetup<Kind>,
  cache?: string,
): Promise<readonly KillPoint[]> {
  const directory = mkdtempSync(join(tmpdir(), "points-"));
  try {
    const log = join(directory, "log");
    const run = await operate(world, kind, setup, { log, ...(cache === undefined ? {} : { cache }) });
    if (run.outcome !== "done") throw new Error(`the clean run ${run.outcome}: ${run.said} ${run.stderr}`);
    return readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as KillPoint);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Calls after which the disk keeps something else; plain writes count only where they are to fail. */
export function isChange({ call }: KillPoint): boolean {
  return !["write", "writeFile", "appendFile"].includes(call);
}
