import { open, readFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGzip } from "node:zlib";
import type { ByteSource } from "../base/byte-source.ts";
import { HoldfastError } from "../base/errors.ts";
import { findProgram } from "../base/find-program.ts";
import { openProgram } from "../base/subprocess.ts";
import { compressBuffer, compressionLevel, type Compression } from "./compression.ts";
import { Meter, meterBytes, type Measure } from "./measure.ts";
import { pipeProgram } from "./pipe-program.ts";

const chunkBytes = 1 << 20;
/** Up to here a process is not worth its start. */
const inProcessBytes = 1 << 16;

/** A source on its way into a backup: stored bytes to be read once, and the measure of the plain bytes after that. */
export interface CompressedSource {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Valid after `bytes` has ended normally. */
  readonly plain: () => Measure;
}

/**
 * Compresses a source. Plain bytes are hashed before compression, on their own way, so that a faulty compressor is found when
 * the stored bytes are read back.
 * @param onPlain told the count of plain bytes so far
 */
export function compressSource(source: ByteSource, compression: Compression, onPlain: (bytes: number) => void, signal: AbortSignal): CompressedSource {
  const meter = new Meter();
  const report = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of meterBytes(body, meter)) {
      onPlain(meter.bytes);
      yield chunk;
    }
  };
  const bytes = (): AsyncIterable<Uint8Array> => {
    if (source.kind === "file" && source.bytes <= inProcessBytes) return compressSmall(source.path, source.bytes, compression, meter);
    if (compression.method === "none") return report(source.kind === "file" ? readWhole(source.path, source.bytes) : source.open(signal));
    if (source.kind === "stream") return compressStream(report(source.open(signal)), compression, signal);
    return compression.method === "zstd" ? compressDescriptor(source.path, source.bytes, compression, report, signal) : compressStream(report(readWhole(source.path, source.bytes)), compression, signal);
  };
  return { bytes: bytes(), plain: () => meter.finish() };
}

async function* compressSmall(path: string, bytes: number, compression: Compression, meter: Meter): AsyncGenerator<Uint8Array, void, undefined> {
  const plain = await readFile(path);
  if (plain.length !== bytes) throw createSizeError(path, bytes, plain.length);
  meter.add(plain);
  yield compressBuffer(plain, compression);
}

/** Reads a staged file; its size must be what was said. */
async function* readWhole(path: string, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await open(path, "r");
  yield* readHandle(file, path, bytes);
}

async function* readHandle(file: FileHandle, path: string, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(chunkBytes), position });
    if (bytesRead === 0) break;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  if (position !== bytes) throw createSizeError(path, bytes, position);
}

function createSizeError(path: string, expected: number, found: number): HoldfastError {
  return new HoldfastError("source-changed", `The staged copy ${path} has ${found} bytes instead of ${expected}`);
}

/** The zstd program reads the file by its own descriptor; the plain bytes are hashed from a second reading meanwhile. */
async function* compressDescriptor(
  path: string,
  bytes: number,
  compression: Compression,
  report: (body: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await open(path, "r");
  await using again = await open(path, "r");
  await using zstd = openProgram("zstd", [...zstdArgs(compression), `--stream-size=${bytes}`], { stdin: file.fd }, signal);
  const hashing = drain(report(readHandle(again, path, bytes)));
  // Awaited below; an early failure must not count as unhandled meanwhile.
  hashing.catch(() => undefined);
  if (zstd.stdout !== null) for await (const chunk of zstd.stdout) yield chunk as Uint8Array;
  await zstd.finished;
  await hashing;
}

function compressStream(body: AsyncIterable<Uint8Array>, compression: Compression, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (compression.method === "zstd") return pipeProgram("zstd", zstdArgs(compression), body, signal);
  // pigz uses all cores; without it zlib does the same on one.
  if (findProgram("pigz") !== undefined) return pipeProgram("pigz", ["-c", "-n", `-${compressionLevel(compression)}`], body, signal);
  return Readable.from(body, { objectMode: false }).compose(createGzip({ level: compressionLevel(compression) }));
}

function zstdArgs(compression: Compression): readonly string[] {
  return ["-q", "-c", "-T0", "--check", `-${compressionLevel(compression)}`];
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of body);
}
