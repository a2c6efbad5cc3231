import { once } from "node:events";
import { pack } from "tar-stream";
import { compressBuffer, type Compression } from "./compression.ts";

const blockBytes = 512;
/** tar-stream truncates later times to 32 bits; from here on they go into an extended header. */
const lastPlainSecond = 2 ** 31 - 1;

export interface TarFileHeader {
  readonly name: string;
  readonly bytes: number;
  readonly mode: number;
  readonly mtimeMs: number;
}

/**
 * The parts of a tar archive around its bodies, each compressed as a gzip member or zstd frame of its own. The concatenation
 * header, body, padding, …, end is one archive for `tar`; a body alone can be cut out by its offset and decompressed.
 */
export async function frameHeader(header: TarFileHeader, compression: Compression): Promise<Uint8Array> {
  return compressBuffer(await createHeader(header), compression);
}

/** The blocks of a header: one, or three and more where the name or the time needs an extended header. */
export async function createHeader({ name, bytes, mode, mtimeMs }: TarFileHeader): Promise<Uint8Array> {
  const seconds = Math.floor(mtimeMs / 1000);
  const fits = seconds >= 0 && seconds <= lastPlainSecond;
  // Owners and exact times stand in the manifest; tar-stream would truncate them.
  const headers = {
    name,
    size: bytes,
    mode: mode & 0o777,
    mtime: new Date(fits ? seconds * 1000 : 0),
    uid: 0,
    gid: 0,
    type: "file" as const,
  };
  const stream = pack();
  const entry = stream.entry(fits ? headers : { ...headers, pax: { mtime: String(seconds) } });
  entry.on("error", () => undefined);
  stream.on("error", () => undefined);
  // All blocks of a header are pushed together, before any body.
  await once(stream, "readable");
  const blocks: Uint8Array[] = [];
  for (let block = stream.read() as Uint8Array | null; block !== null; block = stream.read() as Uint8Array | null) blocks.push(block);
  stream.destroy();
  return Buffer.concat(blocks);
}

/** What follows a body so that the next header starts at a block; empty when nothing is missing. */
export function framePadding(bytes: number, compression: Compression): Uint8Array {
  const missing = countPadding(bytes);
  return missing === 0 ? new Uint8Array() : compressBuffer(new Uint8Array(missing), compression);
}

/** Two zero blocks: the end of the archive. */
export function frameEnd(compression: Compression): Uint8Array {
  return compressBuffer(endBlocks, compression);
}

export const endBlocks: Uint8Array = new Uint8Array(2 * blockBytes);

export function countPadding(bytes: number): number {
  return (blockBytes - (bytes % blockBytes)) % blockBytes;
}
