import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A file of `/proc/PID`, as Latin-1; empty when the process has gone, which it may at any moment. */
export function readProcess(pid: number | string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/** Neither gone nor a zombie, which has ended and waits for who started it. */
export function isRunning(pid: number | string): boolean {
  return /\) [^ZX] /.test(readProcess(pid, "stat"));
}

/** No thread of it is left that could hold a file or a port: a process is a zombie before all of its threads have ended. */
export function hasEnded(pid: number | string): boolean {
  return !isRunning(pid) && listNames(pid, "task").every((thread) => !isRunning(`${pid}/task/${thread}`));
}

/** What its descriptors lead to, without those that are closed meanwhile. */
export function listOpenFiles(pid: number | string): readonly string[] {
  return listNames(pid, "fd").flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
}

function listNames(pid: number | string, directory: "task" | "fd"): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/${directory}`);
  } catch {
    return [];
  }
}
