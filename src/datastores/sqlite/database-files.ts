import { lstat } from "node:fs/promises";
import { readErrno } from "../../base/errors.ts";

/** What SQLite keeps beside a database. A database must never meet those of another one: a stale WAL silently undoes a restore. */
export const companionSuffixes = ["-journal", "-wal", "-shm"] as const;

export interface FoundFile {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
  /** Nanoseconds of its birth: inodes alone are used again at once, and device numbers may change when the machine starts again. */
  readonly birth: string;
  readonly bytes: number;
  readonly changedAtMs: number;
}

/** The file itself, not what a link points to; undefined when there is none. */
export async function findFile(path: string): Promise<FoundFile | undefined> {
  try {
    const { dev, ino, size, birthtimeNs, mtimeMs } = await lstat(path, { bigint: true });
    return { path, dev: Number(dev), ino: Number(ino), birth: String(birthtimeNs), bytes: Number(size), changedAtMs: Number(mtimeMs) };
  } catch (error) {
    if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Which file it is and in what state its content is: a rename leaves it, a write changes it. */
export async function readFileState(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs } = await lstat(path, { bigint: true });
  return [dev, ino, size, mtimeNs].join(":");
}

/** The companions that are there. */
export async function findCompanions(path: string): Promise<readonly FoundFile[]> {
  const found = await Promise.all(companionSuffixes.map((suffix) => findFile(path + suffix)));
  return found.filter((file) => file !== undefined);
}
