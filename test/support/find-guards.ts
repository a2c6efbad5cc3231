import { readdirSync } from "node:fs";
import { listOpenFiles } from "./processes.ts";

/** The processes that have a lock below a directory of holds open: its guards. */
export function findGuards(directory: string): readonly number[] {
  const others = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return others.map(Number).filter((pid) => listOpenFiles(pid).some((path) => path.startsWith(`${directory}/`) && path.endsWith(".lock")));
}
