import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { extract, type Extract, type Header } from "tar-stream";
import { writeBody } from "../../base/block-writer.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";

/**
 * Writes the files of a dump of format directory, from their tar, into a new directory that nobody else can read. The tar is read to its end.
 * @throws backup-damaged for a tar that is cut, and for anything in it that pg_dump does not write: its directories are flat and hold plain
 * files
 */
export async function unpackDirectory(tar: AsyncIterable<Uint8Array>, path: string, signal: AbortSignal): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  const reader = extract();
  const feeding = feed(tar, reader, signal);
  feeding.catch(() => undefined);
  try {
    await writeFiles(reader, path);
  } catch (error) {
    reader.destroy();
    // What fails in the source is what the reader ends with.
    await feeding;
    throw isOfTar(error) ? new HoldfastError("backup-damaged", "its tar cannot be read to its end", { cause: error }) : error;
  }
  await feeding;
}

async function writeFiles(reader: Extract, path: string): Promise<void> {
  const written = new Set<string>();
  for await (const entry of reader) {
    const name = readFileName(entry.header);
    if (name === undefined) {
      entry.resume();
      continue;
    }
    if (written.has(name)) throw createOddError(`${JSON.stringify(name)} is in it twice`);
    written.add(name);
    await using file = await open(join(path, name), "wx", 0o600);
    await writeBody(file, entry as AsyncIterable<Uint8Array>);
  }
}

/** A tar ends with two empty blocks. */
const endBytes = 1024;

/** tar-stream and its streams have codes that are no system's, or none. */
const isOfTar = (error: unknown): boolean => !(error instanceof HoldfastError) && !/^E[A-Z\d]+$/.test(readErrno(error) ?? "");

const maxNameBytes = 255;

/** Undefined for the directory itself. */
function readFileName({ name, type, pax }: Header): string | undefined {
  const [, own] = /^\.\/([^/\0]*)$/.exec(name) ?? [];
  if (own === "" && type === "directory") return undefined;
  // Holes are in extended headers, which are not followed here.
  const isWhole = !Object.keys(pax ?? {}).some((key) => key.startsWith("GNU.sparse"));
  const isName = own !== undefined && !["", ".", ".."].includes(own) && Buffer.byteLength(own) <= maxNameBytes;
  if (isName && type === "file" && isWhole) return own;
  throw createOddError(`${JSON.stringify(name)} is no plain file in it`);
}

const createOddError = (why: string): HoldfastError => new HoldfastError("backup-damaged", `it is no directory of pg_dump's: ${why}`);

/** Ends early, and without an error, where the reader has ended. @throws what the source throws */
async function feed(tar: AsyncIterable<Uint8Array>, reader: Extract, signal: AbortSignal): Promise<void> {
  let tail = Buffer.alloc(0);
  try {
    for await (const chunk of tar) {
      signal.throwIfAborted();
      if (reader.destroyed) return;
      tail = Buffer.concat([tail, chunk.subarray(Math.max(0, chunk.length - endBytes))]).subarray(-endBytes);
      if (reader.write(chunk)) continue;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          reader.off("drain", go).off("close", go);
          resolve();
        };
        reader.on("drain", go).on("close", go);
      });
    }
    // The reader takes one that was cut between two files for whole.
    if (tail.length < endBytes || tail.some((byte) => byte !== 0)) throw createOddError("its end is missing");
    reader.end(undefined);
  } catch (error) {
    reader.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}
