import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { writeAll } from "../../base/block-writer.ts";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Place } from "./place.ts";

const newline = 0x0a;

/**
 * Adds whole lines in one write, durably. When that fails the file is as before. A line that a power cut tore stays, closed by a newline:
 * cutting it off could take a line that another process is just writing.
 */
export async function appendLines(place: Place, path: string, lines: Uint8Array): Promise<void> {
  const file = await open(
    path,
    constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    place.settings.fileMode,
  );
  try {
    const before = await file.stat();
    if (!before.isFile()) throw new HoldfastError("destination-unwritable", `Cannot append to ${path}: it is no regular file`);
    const torn = await isTorn(file, before.size);
    await writeOrUndo(file, before.size, torn ? Buffer.concat([Buffer.of(newline), lines]) : lines);
    if (before.size > 0) await file.sync();
    else {
      await place.finishFile(file);
      await syncDirectory(dirname(path));
    }
  } finally {
    await file.close();
  }
}

async function isTorn(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] !== newline;
}

async function writeOrUndo(file: FileHandle, sizeBefore: number, bytes: Uint8Array): Promise<void> {
  try {
    await writeAll(file, bytes);
  } catch (error) {
    // Only a part of these lines, and nobody else's, may be cut off.
    const { size } = await file.stat();
    if (size > sizeBefore && size < sizeBefore + bytes.length) await file.truncate(sizeBefore);
    throw error;
  }
}
