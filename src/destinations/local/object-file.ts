import { constants } from "node:fs";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { BlockWriter } from "../../base/block-writer.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { ByteRange } from "../contract.ts";
import { assertNotAborted, untilAborted } from "../interrupt.ts";
import type { Place } from "./place.ts";

const blockBytes = 1 << 20;

/** Stores all of a body in a new file, durably, or leaves no file. What the body throws comes out as it is. */
export async function writeObject(place: Place, path: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
  assertNotAborted(signal);
  const doing = `write ${path}`;
  const file = await place.attempt(doing, () => createFile(path));
  try {
    const writer = new BlockWriter(file, (step) => place.attempt(doing, step));
    try {
      for await (const chunk of untilAborted(body, signal)) await writer.add(chunk);
      await writer.flush();
    } finally {
      await writer.settle();
    }
    await place.attempt(doing, () => place.finishFile(file));
    assertNotAborted(signal);
    await place.attempt(doing, () => file.close());
    return writer.bytes;
  } catch (error) {
    await file.close().catch(() => undefined); // closed already, or the error at hand says more
    await unlink(path).catch(() => undefined); // hidden, and gone with its staging directory at the latest
    throw error;
  }
}

async function createFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    if (readErrno(error) === "EEXIST")
      throw new HoldfastError("conflict", `An object of this name was stored already: ${path}`, { cause: error });
    throw error;
  }
}

/**
 * Reads a regular file, one block ahead. `key` names it in errors.
 * @throws backup-not-found, backup-damaged when the range goes beyond the end or the file shrinks
 */
export async function* readObject(
  place: Place,
  path: string,
  key: string,
  range: ByteRange | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  assertNotAborted(signal);
  const attempt = <Result>(step: () => Promise<Result>): Promise<Result> => place.attempt(`read ${key}`, step);
  const file = await attempt(() => openForReading(place, path, key));
  let ahead: Promise<Uint8Array> | undefined;
  try {
    const { size } = await attempt(() => file.stat());
    const start = range?.offset ?? 0;
    const end = range === undefined ? size : start + range.bytes;
    if (end > size) throw createTooShort(place, key, end, size);
    const readAt = (position: number): Promise<Uint8Array> => {
      const block = attempt(() => readBlock(place, file, key, position, Math.min(blockBytes, end - position)));
      block.catch(() => undefined); // heard when its turn comes
      return block;
    };
    if (start < end) ahead = readAt(start);
    for (let position = start; ahead !== undefined;) {
      const block: Uint8Array = await ahead;
      position += block.length;
      ahead = position < end ? readAt(position) : undefined;
      assertNotAborted(signal);
      yield block;
    }
  } finally {
    await ahead?.catch(() => undefined);
    await file.close();
  }
}

/** Reads as much as was asked for, whatever the sizes of single reads. */
async function readBlock(place: Place, file: FileHandle, key: string, position: number, bytes: number): Promise<Uint8Array> {
  const block = Buffer.allocUnsafeSlow(bytes);
  for (let filled = 0; filled < bytes;) {
    const { bytesRead } = await file.read(block, filled, bytes - filled, position + filled);
    if (bytesRead === 0) throw createTooShort(place, key, position + bytes, position + filled);
    filled += bytesRead;
  }
  return block;
}

async function openForReading(place: Place, path: string, key: string): Promise<FileHandle> {
  const missing = (cause?: unknown): HoldfastError =>
    new HoldfastError("backup-not-found", `There is no object ${key} in ${place.describe()}`, { cause });
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK); // a FIFO must not block
  } catch (error) {
    if (!["ENOENT", "ENOTDIR", "ELOOP", "ENXIO"].includes(readErrno(error) ?? "")) throw error;
    await place.requireRoot();
    throw missing(error);
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw missing();
}

function createTooShort(place: Place, key: string, wanted: number, found: number): HoldfastError {
  return new HoldfastError("backup-damaged", `${key} in ${place.describe()} is too short: ${found} bytes, ${wanted} are needed`);
}
