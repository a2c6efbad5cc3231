import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** The n-th call of one kind of system call in a program's run. */
export interface FaultPoint {
  readonly call: string;
  readonly n: number;
}

/** At the point the program is killed before the call, or the call fails with this errno. */
export type Fault = "kill" | `error=${string}`;

export interface FaultyRun {
  readonly stdout: string;
  readonly killed: boolean;
}

/** Calls that change what a disk keeps, apart from `write`. */
const changingCalls = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,ftruncate,fchmod";

/**
 * Every call of a clean run of a Node program that changes what the disk keeps, in order. Such calls must come from one thread, or
 * counting them would not lead to the same place again.
 * @param always injections in every run, for example `link:error=EPERM`
 */
export async function listFaultPoints(args: readonly string[], always: readonly string[] = []): Promise<readonly FaultPoint[]> {
  const counts = new Map<string, number>();
  return (await traceCalls(args, changingCalls, always)).map(({ call }) => {
    const n = (counts.get(call) ?? 0) + 1;
    counts.set(call, n);
    return { call, n };
  });
}

export interface TracedCall {
  readonly call: string;
  /** As strace shows them, descriptors with their paths. */
  readonly args: string;
}

/** The calls of these kinds in a clean run, in order, without what the other threads of Node write to each other. */
export async function traceCalls(
  args: readonly string[],
  calls: string = changingCalls,
  always: readonly string[] = [],
): Promise<readonly TracedCall[]> {
  const directory = mkdtempSync(join(tmpdir(), "trace-"));
  try {
    const log = join(directory, "log");
    await runTraced(log, calls, always, args);
    const found = readFileSync(log, "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, thread, call, rest] = /^(\d+) +(\w+)\((.*)/.exec(line) ?? [];
        return thread === undefined || call === undefined || rest === undefined ? [] : [{ thread, call, args: rest }];
      });
    const threads = new Set(found.filter(({ call }) => call !== "write").map(({ thread }) => thread));
    if (threads.size > 1) throw new Error(`calls come from ${threads.size} threads`);
    return found;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs the program again, with the fault at the point. The program ends with 0, or with 1 and a word on standard output. */
export async function runWithFault(
  args: readonly string[],
  point: FaultPoint,
  fault: Fault,
  always: readonly string[] = [],
): Promise<FaultyRun> {
  const injection = `${point.call}:${fault === "kill" ? "signal=KILL" : fault}:when=${point.n}`;
  return await runTraced("/dev/null", point.call, [...always, injection], args);
}

async function runTraced(log: string, calls: string, injections: readonly string[], args: readonly string[]): Promise<FaultyRun> {
  const traced = [...new Set([...calls.split(","), ...injections.map((injection) => injection.split(":")[0])])].join(",");
  const strace = [
    "-f",
    "-qq",
    "-y",
    "-s",
    "200",
    "-o",
    log,
    "-e",
    `trace=${traced}`,
    ...injections.flatMap((injection) => ["-e", `inject=${injection}`]),
  ];
  const env = { ...process.env, UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0", NODE_DISABLE_COMPILE_CACHE: "1" };
  try {
    const { stdout } = await promisify(execFile)("strace", [...strace, process.execPath, ...args], { env });
    return { stdout, killed: false };
  } catch (error) {
    const failed = error as { readonly stdout?: string; readonly signal?: string | null; readonly code?: number | string };
    const killed = failed.signal === "SIGKILL" || failed.code === 137;
    // strace ends with 1 as well, when it does not like its arguments.
    if (failed.stdout === undefined || !(killed || (failed.code === 1 && failed.stdout !== ""))) throw error;
    return { stdout: failed.stdout, killed };
  }
}

/** The seed of a bounded run: HOLDFAST_SEED, else a new one, which the test must tell. */
export function readSeed(): number {
  return Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 1_000_000));
}

/**
 * Some of the points, in their order, by seed.
 * @param of what they are points of: different lists have different ones, though all have one seed
 */
export function pickPoints<Point>(points: readonly Point[], count: number, seed: number, of: string): readonly Point[] {
  let state = createHash("sha256").update(`${seed} ${of}`).digest().readInt32BE();
  const drawn = points.map((point, index) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 + index) | 0;
    return { point, index, rank: Math.imul(state ^ (state >>> 13), 0x297a2d39) >>> 0 };
  });
  const chosen = drawn.toSorted((a, b) => a.rank - b.rank).slice(0, count);
  return chosen.toSorted((a, b) => a.index - b.index).map(({ point }) => point);
}
