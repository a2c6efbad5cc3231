import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findUsers } from "../trees/find-users.ts";

/**
 * Processes that have databases of a data directory open; 0 stands for one that is not ours to look into, but holds the lock that a server
 * keeps as long as it runs.
 */
export function findServers(data: string): readonly number[] {
  const users = findUsers([join(data, "databases"), join(data, "transactions")]);
  return users.length === 0 && isLocked(join(data, "databases", "store_lock")) ? [0] : users;
}

/** By the kernel's table, which shows the locks of every container, and to everybody. */
function isLocked(path: string): boolean {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return false;
  const [major, minor] = [(stat.dev >> 8n) & 0xfffn, (stat.dev & 0xffn) | ((stat.dev >> 12n) & 0xfff00n)];
  return readFileSync("/proc/locks", "latin1")
    .split("\n")
    .some((line) => {
      const [, first = "", second = "", inode] = /\s([0-9a-f]+):([0-9a-f]+):(\d+)\s/.exec(line) ?? [];
      // Without a device of its own (overlay, btrfs) a file is told by its inode alone.
      const sameDevice = major === 0n || (BigInt(`0x${first || "0"}`) === major && BigInt(`0x${second || "0"}`) === minor);
      return inode === String(stat.ino) && sameDevice;
    });
}

/** `process 12, 13`, for messages. */
export function describeServers(pids: readonly number[]): string {
  const known = pids.filter((pid) => pid > 0);
  return known.length === 0 ? "its lock is held" : `process ${known.join(", ")}`;
}
