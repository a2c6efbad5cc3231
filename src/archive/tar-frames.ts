import { once } from "node:events";
import { pack } from "tar-stream";
import { compressBuffer, type Compression } from "./compression.ts";

const blockBytes = 512;

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
  const stream = pack();
  // Owners and exact times stand in the manifest; tar-stream would truncate them.
  const entry = stream.entry({ name: header.name, size: header.bytes, mode: header.mode & 0o777, mtime: new Date(header.mtimeMs), uid: 0, gid: 0, type: "file" });
  entry.on("error", () => undefined);
  stream.on("error", () => undefined);
  // The header's blocks (an extended header too, where the name needs one) are pushed together, before any body.
  await once(stream, "readable");
  const blocks: Uint8Array[] = [];
  for (let block = stream.read() as Uint8Array | null; block !== null; block = stream.read() as Uint8Array | null) blocks.push(block);
  stream.destroy();
  return compressBuffer(Buffer.concat(blocks), compression);
}

/** What follows a body so that the next header starts at a block; empty when nothing is missing. */
export function framePadding(bytes: number, compression: Compression): Uint8Array {
  const missing = (blockBytes - (bytes % blockBytes)) % blockBytes;
  return missing === 0 ? new Uint8Array() : compressBuffer(new Uint8Array(missing), compression);
}

/** Two zero blocks: the end of the archive. */
export function frameEnd(compression: Compression): Uint8Array {
  return compressBuffer(new Uint8Array(2 * blockBytes), compression);
}
