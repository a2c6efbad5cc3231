import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";

/** One lock file to hold. */
export interface PlannedLock {
  readonly fileName: string;
  readonly mode: "exclusive" | "shared";
  /** The key for whose sake it is held, for messages. */
  readonly keyId: string;
}

/**
 * The lock files of a set of keys, in the one order in which everybody takes them. A key is an exclusive lock on its id; each of its
 * paths an exclusive lock on the path and shared ones on every directory above it, so that the kernel sees that a directory and a file
 * in it conflict, for other processes too.
 */
export function planLocks(keys: readonly ConcurrencyKey[]): readonly PlannedLock[] {
  const planned = new Map<string, PlannedLock>();
  const add = (name: string, mode: PlannedLock["mode"], keyId: string) => {
    const fileName = nameLockFile(name);
    if (mode === "exclusive" || !planned.has(fileName)) planned.set(fileName, { fileName, mode, keyId });
  };
  for (const { id, paths } of keys) {
    add(id, "exclusive", id);
    for (const path of paths) {
      add(`path:${path}`, "exclusive", id);
      for (const above of listDirectoriesAbove(path)) add(`path:${above}`, "shared", id);
    }
  }
  return [...planned.values()].toSorted((one, other) => (one.fileName < other.fileName ? -1 : 1));
}

/** The name of the lock file of a key id, or of `path:` and an absolute path: SHA-256 in hex. */
export function nameLockFile(name: string): string {
  return createHash("sha256").update(name).digest("hex");
}

function listDirectoriesAbove(path: string): readonly string[] {
  const above = dirname(path);
  return above === path ? [] : [above, ...listDirectoriesAbove(above)];
}
