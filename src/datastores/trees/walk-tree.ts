import { closeSync, constants, lstatSync, openSync, readdirSync, readSync, type BigIntStats } from "node:fs";
import { readErrno } from "../../base/errors.ts";
import { joinPath } from "./raw-path.ts";

export interface WalkedEntry {
  /** Below the root, of any bytes; empty for the root itself. */
  readonly path: Buffer;
  readonly stat: BigIntStats;
  /** The first bytes of a regular file, or undefined when it cannot be read. Never blocks, never follows a link. */
  readHead(bytes: number): Buffer | undefined;
}

export interface WalkRules {
  /** Whether to go into a directory, the root included. */
  enter(entry: WalkedEntry): boolean;
  /** Told what could not be listed; what vanished meanwhile is passed over. */
  unreadable(path: Buffer, errno: string): void;
}

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Walks a directory top down, names sorted by their bytes. Each directory is opened relative to the one above it and links are never
 * followed, so that a rename meanwhile cannot lead it out of the root; depth is not limited by the length of paths.
 * Throws what opening the root throws.
 */
export function* walkTree(root: Buffer | string, rules: WalkRules): Generator<WalkedEntry, void, undefined> {
  const fd = openSync(root, directoryFlags & ~constants.O_NOFOLLOW);
  try {
    const entry: WalkedEntry = {
      path: Buffer.alloc(0),
      stat: lstatSync(`/proc/self/fd/${fd}/.`, { bigint: true }),
      readHead: () => undefined,
    };
    yield entry;
    if (rules.enter(entry)) yield* walkInto(fd, entry.path, rules);
  } finally {
    closeSync(fd);
  }
}

function* walkInto(fd: number, path: Buffer, rules: WalkRules): Generator<WalkedEntry, void, undefined> {
  let names: Buffer[];
  try {
    names = readdirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" }).sort((one, other) => Buffer.compare(one, other));
  } catch (error) {
    rules.unreadable(path, readErrno(error) ?? "unknown");
    return;
  }
  for (const name of names) {
    const place = joinPath(`/proc/self/fd/${fd}`, name);
    const stat = lstatSync(place, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) continue;
    const entry: WalkedEntry = { path: joinPath(path, name), stat, readHead: (bytes) => readHead(place, bytes) };
    yield entry;
    if (stat.isDirectory() && rules.enter(entry)) yield* walkDirectory(place, entry.path, rules);
  }
}

function* walkDirectory(place: Buffer, path: Buffer, rules: WalkRules): Generator<WalkedEntry, void, undefined> {
  let fd: number;
  try {
    fd = openSync(place, directoryFlags);
  } catch (error) {
    const errno = readErrno(error) ?? "unknown";
    if (errno !== "ENOENT" && errno !== "ENOTDIR") rules.unreadable(path, errno);
    return;
  }
  try {
    yield* walkInto(fd, path, rules);
  } finally {
    closeSync(fd);
  }
}

function readHead(place: Buffer, bytes: number): Buffer | undefined {
  try {
    const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const head = Buffer.alloc(bytes);
      return head.subarray(0, readSync(fd, head, 0, bytes, 0));
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // tar meets it again and tells why
  }
}
