import { readdirSync, readlinkSync } from "node:fs";

/** The processes that have a lock below a directory of holds open: its guards. */
export function findGuards(directory: string): readonly number[] {
  const others = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return others.map(Number).filter((pid) => listOpen(pid).some((path) => path.startsWith(`${directory}/`) && path.endsWith(".lock")));
}

function listOpen(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}
