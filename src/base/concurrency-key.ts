import { sep } from "node:path";

/**
 * What the queue serialises. Two keys conflict when their ids are equal, or when a path of one is a path of the other or lies above it
 * (a directory contains the SQLite file in it). `paths` are absolute and resolved (no symbolic links).
 */
export interface ConcurrencyKey {
  /** Stable and free of secrets, for example `sqlite:2049:131077` (device and inode) or `removals:local`. */
  readonly id: string;
  readonly paths: readonly string[];
}

export function keysConflict(one: ConcurrencyKey, other: ConcurrencyKey): boolean {
  return (
    one.id === other.id || one.paths.some((path) => other.paths.some((rival) => containsPath(path, rival) || containsPath(rival, path)))
  );
}

function containsPath(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);
}
