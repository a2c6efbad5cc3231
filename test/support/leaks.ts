import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

/** Where one test run keeps everything that it makes, so that what it leaves behind is seen. */
export interface RunArea {
  /** Stands in HOLDFAST_TEST_RUN of every process of the run. */
  readonly id: string;
  /** TMPDIR of every process of the run; short, for the sake of socket paths. */
  readonly directory: string;
}

/** Must be closed with closeRunArea. */
export function openRunArea(): RunArea {
  const directory = mkdtempSync("/tmp/hf-");
  chmodSync(directory, 0o1777); // like /tmp: tests that run as another user need it
  return { id: directory.slice("/tmp/".length), directory };
}

/** Names of things in TMPDIR that are not the tests' doing: Node's compile cache, which npm and the linters turn on. */
const tolerated: readonly string[] = ["node-compile-cache"];

const graceMs = 3_000;

/** Finds, names and ends what a finished group of tests left behind: processes, mounts, files. Never throws for a process that went away. */
export async function clearLeaks(area: RunArea): Promise<readonly string[]> {
  const processes = await clearProcesses(area);
  const mounts = findMounts(area);
  unmount(mounts);
  const entries = readdirSync(area.directory).filter((name) => !tolerated.includes(name));
  if (findMounts(area).length === 0) for (const entry of entries) rmSync(`${area.directory}/${entry}`, { recursive: true, force: true });
  return [
    ...processes.map((text) => `left a process running: ${text}`),
    ...mounts.map((path) => `left a mount: ${path}`),
    ...entries.map((name) => `left in TMPDIR: ${name}`),
  ];
}

/** Removes the area, unless something is still mounted in it: what is mounted may be the machine's own root. */
export function closeRunArea(area: RunArea): void {
  unmount(findMounts(area));
  if (findMounts(area).length === 0) rmSync(area.directory, { recursive: true, force: true });
}

async function clearProcesses(area: RunArea): Promise<readonly string[]> {
  const deadline = performance.now() + graceMs;
  let pids = findProcesses(area);
  while (pids.length > 0 && performance.now() < deadline) {
    await delay(50);
    pids = findProcesses(area);
  }
  const leaked = pids.map((pid) => `${pid} ${readProcess(pid, "cmdline").replaceAll("\0", " ").trim()}`);
  while (pids.length > 0) {
    for (const pid of pids) endProcess(pid);
    await delay(20);
    pids = findProcesses(area);
  }
  return leaked;
}

/** Processes that inherited the marker, or that cleaned their environment but still live in the area. */
function findProcesses(area: RunArea): readonly number[] {
  const pids = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  return pids.filter((pid) => pid !== process.pid && belongsTo(area, pid));
}

function belongsTo(area: RunArea, pid: number): boolean {
  const marker = readProcess(pid, "environ")
    .split("\0")
    .find((entry) => entry.startsWith("HOLDFAST_TEST_RUN="));
  if (marker?.slice("HOLDFAST_TEST_RUN=".length).split("/").includes(area.id) === true) return true;
  return readProcess(pid, "cmdline").includes(`${area.directory}/`) || readWorkingDirectory(pid).startsWith(`${area.directory}/`);
}

function readProcess(pid: number, file: "environ" | "cmdline"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // gone, or another user's
  }
}

function readWorkingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone by itself
  }
}

/** Deepest first. */
function findMounts(area: RunArea): readonly string[] {
  if (!existsSync("/proc/self/mountinfo")) return [];
  const paths = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .flatMap((line) => line.split(" ")[4] ?? []);
  return paths
    .filter((path) => path === area.directory || path.startsWith(`${area.directory}/`))
    .toSorted()
    .toReversed();
}

function unmount(paths: readonly string[]): void {
  for (const path of paths) spawnSync("umount", ["--lazy", path]);
}
