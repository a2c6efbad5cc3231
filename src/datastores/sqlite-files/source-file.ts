import { open, realpath, stat } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import { HoldfastError, describeCause, readErrno } from "../../base/errors.ts";
import type { FileAttributes } from "../contract.ts";

const magic = "SQLite format 3\0";
/** Offset of the "read version" in the header; 2 means WAL. */
const readVersionOffset = 19;

export interface SourceFile {
  /** Without symbolic links. */
  readonly realPath: string;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly bytes: number;
  readonly wal: boolean;
  /** Names of the file; more than one means hard links. */
  readonly names: number;
  readonly attributes: FileAttributes;
}

/**
 * Looks at a database file by path and header; undefined when it is not there. Must not be called by a process that has the file open
 * through SQLite. Throws source-empty, source-encrypted or source-unreadable; messages are the reason alone.
 */
export async function readSourceFile(path: string): Promise<SourceFile | undefined> {
  try {
    const realPath = await realpath(path);
    const before = await stat(realPath, { bigint: true });
    if (!before.isFile()) throw new HoldfastError("source-unreadable", `${path} is ${describeFileType(before)}, not a database file`);
    if (before.size === 0n) {
      throw new HoldfastError("source-empty", `${path} is empty (0 bytes)`, {
        hint: "A SQLite database has at least 512 bytes; was it ever written, or was it truncated?",
      });
    }
    const header = await readHeader(realPath);
    if (header.toString("latin1", 0, magic.length) !== magic) {
      throw new HoldfastError("source-encrypted", `${path} is not a plain SQLite database`, {
        hint: "Is it encrypted (SQLCipher), or of another kind? Back it up with a files datastore, with its application stopped.",
      });
    }
    return {
      realPath,
      dev: before.dev,
      ino: before.ino,
      bytes: Number(before.size),
      wal: header[readVersionOffset] === 2,
      names: Number(before.nlink),
      attributes: readAttributes(before),
    };
  } catch (error) {
    if (readErrno(error) === "ENOENT") return undefined;
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError("source-unreadable", `${path} cannot be read: ${describeCause(error)}`, { cause: error });
  }
}

/** Whether the path still leads to the same file. */
export async function isSameFile(path: string, file: { readonly dev: bigint; readonly ino: bigint }): Promise<boolean> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found !== undefined && found.dev === file.dev && found.ino === file.ino;
}

export function createMissingError(path: string): HoldfastError {
  return new HoldfastError("source-missing", `${path} does not exist`, {
    hint: "Correct the path, or declare the datastore `optional: true` when it may be missing.",
  });
}

export function describeFileType(
  stats: Pick<BigIntStats, "isDirectory" | "isFIFO" | "isSocket" | "isBlockDevice" | "isCharacterDevice">,
): string {
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return stats.isBlockDevice() || stats.isCharacterDevice() ? "a device" : "something else";
}

async function readHeader(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(100), 0, 100, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function readAttributes(stats: BigIntStats): FileAttributes {
  return { mode: Number(stats.mode & 0o7777n), uid: Number(stats.uid), gid: Number(stats.gid), mtimeNs: String(stats.mtimeNs) };
}
