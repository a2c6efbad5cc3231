import { readdirSync, readFileSync } from "node:fs";

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
  return !isRunning(pid) && listThreads(pid).every((thread) => !isRunning(`${pid}/task/${thread}`));
}

function listThreads(pid: number | string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}
