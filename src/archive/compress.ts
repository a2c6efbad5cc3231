import { open, type FileHandle } from "node:fs/promises";
import { createGzip, createZstdCompress } from "node:zlib";
import type { ByteSource } from "../base/byte-source.ts";
import { HoldfastError } from "../base/errors.ts";
import { findProgram } from "../base/find-program.ts";
import { createAbortError, openProgram } from "../base/subprocess.ts";
import { compressBuffer, compressionLevel, createZstdParams, listZstdArgs, type Compression } from "./compression.ts";
import { pipeProgram, pipeTransform, type OpenBody } from "./convert-bytes.ts";
import { Meter, type Measure } from "./measure.ts";

const chunkBytes = 1 << 20;
/** Up to here a process is not worth its start. */
const inProcessBytes = 1 << 16;
/** Up to this level of zstd one thread of ours keeps up with most sources, and the way through the pipes of a process costs more than it gains. */
const threadLevel = 3;
const pieceBytes = 1 << 18;

/** A source on its way into a backup: stored bytes to be read once, and the measure of the plain bytes after that. */
export interface CompressedSource {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Valid after `bytes` has ended normally. */
  readonly plain: () => Measure;
}

/**
 * Compresses a source. Plain bytes are hashed before compression, on their own way, so that a faulty compressor is found when
 * the stored bytes are read back. Ending the iteration early stops the source and the compressor.
 * @param onPlain told the count of plain bytes so far
 */
export function compressSource(
  source: ByteSource,
  compression: Compression,
  onPlain: (bytes: number) => void,
  signal: AbortSignal,
): CompressedSource {
  const meter = new Meter();
  const add = (chunk: Uint8Array): void => {
    meter.add(chunk);
    onPlain(meter.bytes);
  };
  const bytes =
    source.kind === "file" ? compressFile(source, compression, add, signal) : compressStream(source.open, compression, add, signal);
  return { bytes: explainAbort(bytes, signal), plain: () => meter.finish() };
}

/** Whatever an abort breaks first, what is thrown is the abort. */
async function* explainAbort(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    throw signal.aborted ? createAbortError(signal, "Compressing was stopped") : error;
  }
}

type FileSource = Extract<ByteSource, { kind: "file" }>;

function compressFile(
  source: FileSource,
  compression: Compression,
  add: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (source.bytes <= inProcessBytes) return compressSmall(source, compression, add, signal);
  if (compression.method === "zstd") return compressDescriptor(source, compression, add, signal);
  return compressStream((inner) => readWhole(source, inner), compression, add, signal);
}

/** A body that ends soon is compressed here: a process is not worth its start. */
async function* compressStream(
  body: OpenBody,
  compression: Compression,
  add: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ending = new AbortController();
  const measured = measure(body(AbortSignal.any([signal, ending.signal])), add);
  try {
    if (compression.method === "none") return yield* measured;
    const first = await readFirst(measured);
    if (first.ended) return yield compressBuffer(Buffer.concat(first.chunks), compression);
    const whole: OpenBody = async function* joinRest(inner) {
      inner.addEventListener("abort", () => ending.abort(), { once: true });
      yield* first.chunks;
      yield* measured;
    };
    yield* compressLong(whole, compression, signal);
  } finally {
    ending.abort();
    await measured.return().catch(() => undefined);
  }
}

function compressLong(body: OpenBody, compression: Compression, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (compression.method === "zstd") {
    if (compressionLevel(compression) > threadLevel) return pipeProgram("zstd", listZstdArgs(compression), body, signal);
    return pipeTransform("zstd", createZstdCompress({ params: createZstdParams(compression), chunkSize: pieceBytes }), body, signal);
  }
  // pigz uses all cores; without it zlib does the same on one.
  if (findProgram("pigz") !== undefined) return pipeProgram("pigz", ["-c", "-n", `-${compressionLevel(compression)}`], body, signal);
  return pipeTransform("gzip", createGzip({ level: compressionLevel(compression), chunkSize: pieceBytes }), body, signal);
}

async function* measure(body: AsyncIterable<Uint8Array>, add: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    add(chunk);
    yield chunk;
  }
}

/** Reads until there is more than a process is worth, or the end. */
async function readFirst(
  body: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<{ readonly chunks: readonly Uint8Array[]; readonly ended: boolean }> {
  const chunks: Uint8Array[] = [];
  for (let bytes = 0; bytes <= inProcessBytes;) {
    const step = await body.next();
    if (step.done === true) return { chunks, ended: true };
    chunks.push(step.value);
    bytes += step.value.length;
  }
  return { chunks, ended: false };
}

async function* compressSmall(
  source: FileSource,
  compression: Compression,
  add: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readWhole(source, signal)) chunks.push(chunk);
  const plain = Buffer.concat(chunks);
  add(plain);
  yield compressBuffer(plain, compression);
}

/** Reads a staged file; its size must be what was said. */
async function* readWhole({ path, bytes }: FileSource, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await open(path, "r");
  yield* readHandle(file, { path, bytes, reuse: false }, signal);
}

interface Reading {
  readonly path: string;
  readonly bytes: number;
  /** Whether a chunk may be overwritten as soon as the next one is asked for: fresh memory costs as much as the reading. */
  readonly reuse: boolean;
}

async function* readHandle(
  file: FileHandle,
  { path, bytes, reuse }: Reading,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const size = Math.max(1, Math.min(chunkBytes, bytes));
  let buffer = Buffer.allocUnsafeSlow(size);
  let position = 0;
  while (position < bytes) {
    if (signal.aborted) throw createAbortError(signal, `Reading ${path} was stopped`);
    const { bytesRead } = await file.read({ buffer, position, length: Math.min(size, bytes - position) });
    if (bytesRead === 0) break;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
    if (!reuse) buffer = Buffer.allocUnsafeSlow(size);
  }
  await assertSize(file, { path, bytes });
}

async function assertSize(file: FileHandle, { path, bytes }: Pick<Reading, "path" | "bytes">): Promise<void> {
  const { size } = await file.stat();
  if (size !== bytes) throw new HoldfastError("source-changed", `The staged copy ${path} has ${size} bytes instead of ${bytes}`);
}

/** The zstd program reads the file by its own descriptor; the plain bytes are hashed from a second reading meanwhile. */
async function* compressDescriptor(
  { path, bytes }: FileSource,
  compression: Compression,
  add: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ending = new AbortController();
  await using file = await open(path, "r");
  await using again = await open(path, "r");
  await using zstd = openProgram("zstd", [...listZstdArgs(compression), `--stream-size=${bytes}`], { stdin: file.fd }, signal);
  const hashing = hashHandle(again, { path, bytes, reuse: true }, add, AbortSignal.any([signal, ending.signal]));
  // Awaited below; an early failure must not count as unhandled meanwhile.
  hashing.catch(() => ending.abort());
  try {
    if (zstd.stdout !== null) for await (const chunk of zstd.stdout) yield chunk as Uint8Array;
    await zstd.finished;
    await hashing;
  } catch (error) {
    await assertSize(again, { path, bytes });
    throw error;
  } finally {
    ending.abort();
    await hashing.catch(() => undefined);
  }
}

async function hashHandle(file: FileHandle, reading: Reading, add: (chunk: Uint8Array) => void, signal: AbortSignal): Promise<void> {
  for await (const chunk of readHandle(file, reading, signal)) add(chunk);
}
