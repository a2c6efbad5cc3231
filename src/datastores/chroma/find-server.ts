import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { findUsers } from "../trees/find-users.ts";
import { databaseName } from "./data-directory.ts";

/**
 * Ids of processes that have something below the directory open, or its database by any name: a server in a container sees it under
 * another path. Best effort.
 */
export function findServers(root: string): readonly number[] {
  const database = statSync(join(root, databaseName), { throwIfNoEntry: false });
  const holders = listNames("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && holds(name, database));
  return [...new Set([...findUsers([root]), ...holders.map(Number)])].toSorted((one, other) => one - other);
}

function holds(pid: string, wanted: { readonly dev: number; readonly ino: number } | undefined): boolean {
  if (wanted === undefined) return false;
  return listNames(`/proc/${pid}/fd`).some((descriptor) => {
    try {
      const { dev, ino } = statSync(`/proc/${pid}/fd/${descriptor}`);
      return dev === wanted.dev && ino === wanted.ino;
    } catch {
      return false; // closed meanwhile
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
