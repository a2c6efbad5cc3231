import { readdirSync, readlinkSync } from "node:fs";

/** Ids of processes that have one of the paths, or something below one, open or as their working directory. Best effort. */
export function findUsers(paths: readonly string[]): readonly number[] {
  const inside = (path: string): boolean => paths.some((target) => path === target || path.startsWith(`${target}/`));
  const pids = listNames("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  return pids.filter((pid) => pid !== process.pid && listOpen(pid).some(inside));
}

function listOpen(pid: number): readonly string[] {
  return [`/proc/${pid}/cwd`, ...listNames(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)].flatMap((link) => {
    try {
      return [readlinkSync(link)];
    } catch {
      return []; // closed or gone meanwhile
    }
  });
}

function listNames(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // gone meanwhile, or another user's
  }
}
