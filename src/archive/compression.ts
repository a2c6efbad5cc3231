import { availableParallelism } from "node:os";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { HoldfastError } from "../base/errors.ts";

export const compressionMethods = ["none", "gzip", "zstd"] as const;
export type CompressionMethod = (typeof compressionMethods)[number];

export interface Compression {
  readonly method: CompressionMethod;
  /** gzip 1 to 9 (6), zstd 1 to 19 (3); absent for the default. */
  readonly level?: number;
}

/** What compressed bytes are called: appended to the name of what was compressed. */
export function compressionSuffix(method: CompressionMethod): string {
  return { none: "", gzip: ".gz", zstd: ".zst" }[method];
}

export function compressionLevel(compression: Compression): number {
  return compression.level ?? (compression.method === "gzip" ? 6 : 3);
}

/**
 * The arguments that make the zstd program write one frame with content checksum to its standard output. Threads cost memory (measured,
 * zstd 1.5.4: 100 MiB for 4 at level 3, 110 for 4 at level 6, 160 for 2 at level 9), so the worker's limit sets how many cores are used.
 */
export function listZstdArgs(compression: Compression): readonly string[] {
  const level = compressionLevel(compression);
  return ["-q", "-c", `-T${Math.min(availableParallelism(), countZstdThreads(level))}`, "--check", `-${level}`];
}

function countZstdThreads(level: number): number {
  if (level <= 6) return 4;
  return level <= 9 ? 2 : 1;
}

/** Refuses levels that the method does not have. */
export function checkCompression(compression: Compression): void {
  const highest = { none: 0, gzip: 9, zstd: 19 }[compression.method];
  const { level } = compression;
  if (level !== undefined && (!Number.isInteger(level) || level < Math.min(1, highest) || level > highest)) {
    throw new HoldfastError("config-invalid", `Compression level ${level} does not exist for ${compression.method}`, {
      hint: highest === 0 ? "Leave the level out." : `Levels go from 1 to ${highest}.`,
    });
  }
}

/** For node:zlib: one frame with content checksum, as the zstd program makes it. */
export function createZstdParams(compression: Compression): Readonly<Record<number, number>> {
  return { [constants.ZSTD_c_compressionLevel]: compressionLevel(compression), [constants.ZSTD_c_checksumFlag]: 1 };
}

/** Compresses a small buffer as one gzip member or one zstd frame with its content checksum. */
export function compressBuffer(bytes: Uint8Array, compression: Compression): Uint8Array {
  switch (compression.method) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes, { level: compressionLevel(compression) });
    case "zstd":
      return zstdCompressSync(bytes, {
        params: createZstdParams(compression),
        pledgedSrcSize: bytes.length,
      });
  }
}
