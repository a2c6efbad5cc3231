import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface Measured {
  readonly wallMs: number;
  /** Highest sum of resident memory over the process and its descendants, shared pages counted once where the kernel tells (PSS). */
  readonly peakBytes: number;
  readonly stdout: string;
}

/** Runs a command to its end, sampling the memory of its whole process tree. */
export async function measureCommand(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Measured> {
  const startedAtMs = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  let peakBytes = 0;
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, measureTree(child.pid ?? 0));
  }, 50);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearInterval(sampler);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} exited with ${status}`);
  return { wallMs: performance.now() - startedAtMs, peakBytes, stdout };
}

/** Database servers that a drill or a restore starts: what they hold is the data's. */
const servers: ReadonlySet<string> = new Set(["postgres", "redis-server"]);

/** Resident memory of a process and all its descendants, database servers apart, bytes. */
export function measureTree(root: number): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) if (/^\d+$/.test(name)) parents.set(Number(name), readParent(Number(name)));
  const isMember = (pid: number): boolean => pid === root || (parents.has(pid) && pid > 1 && isMember(parents.get(pid) ?? 0));
  return [...parents.keys()]
    .filter((pid) => isMember(pid) && !servers.has(readName(pid)))
    .reduce((sum, pid) => sum + measureProcess(pid), 0);
}

export function measureProcess(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function readName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

function readParent(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

/** User and system time of a process, milliseconds. */
export function measureCpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

export function findMedian(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
