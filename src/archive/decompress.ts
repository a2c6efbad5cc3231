import { constants, createGunzip, createZstdDecompress, gunzipSync, zstdDecompressSync } from "node:zlib";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { createAbortError } from "../base/subprocess.ts";
import type { CompressionMethod } from "./compression.ts";
import { pipeTransform, type OpenBody } from "./convert-bytes.ts";
import { isSameMeasure, Meter, type Measure } from "./measure.ts";

const inProcessBytes = 1 << 16;
/** Up to level 19 windows have at most 8 MiB: what asks for more was not made by us. */
const windowLimit = { [constants.ZSTD_d_windowLogMax]: 23 };
const pieceBytes = 1 << 18;
/** Of zstd, which is fast enough that handing over each piece costs a third of its time; and how far it goes on meanwhile. */
const zstdPieceBytes = 1 << 20;
const zstdAheadBytes = 8 * zstdPieceBytes;

export interface StoredPart {
  readonly stored: Measure;
  readonly plain: Measure;
  readonly compression: CompressionMethod;
}

/** `counted`: what is decompressed is not hashed, for who reads it a second time with its hash before anything is made of it. */
export type PlainReading = "hashed" | "counted";

/**
 * Stored bytes back to plain ones, compared with what the manifest says of both. Yields at most the expected count of plain bytes and
 * reads hardly more than the expected count of stored ones: a bomb is stopped at its first excess byte. Ends normally only if sizes and
 * hashes agree; a consumer must not trust a byte before that.
 * @param place names the entry in errors
 * @throws backup-damaged
 */
export async function* restoreBytes(
  open: OpenBody,
  part: StoredPart,
  place: string,
  signal: AbortSignal,
  reading: PlainReading = "hashed",
): AsyncGenerator<Uint8Array, void, undefined> {
  const { stored, plain, compression } = part;
  if (compression === "none") {
    assertMeasure(stored, plain, `stored bytes of ${place}`);
    return yield* checkBytes(open(signal), plain, `content of ${place}`);
  }
  const openChecked: OpenBody = (inner) => checkBytes(open(inner), stored, `stored bytes of ${place}`);
  const decompressed = decompress(openChecked, part, signal);
  const explained = explainFailure(decompressed, place, signal);
  yield* reading === "hashed" ? checkBytes(explained, plain, `content of ${place}`) : countBytes(explained, plain, `content of ${place}`);
}

/**
 * Passes bytes on; ends normally only if there are as many as expected, with the expected hash. Never yields more. Large pieces are handed on in
 * parts: whoever takes them would wait while all of one is hashed.
 */
export async function* checkBytes(
  body: AsyncIterable<Uint8Array>,
  expected: Measure,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const meter = new Meter();
  for await (const chunk of body) {
    if (meter.bytes + chunk.length > expected.bytes) throw createExcess(expected, what);
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      const piece = chunk.subarray(at, at + pieceBytes);
      meter.add(piece);
      yield piece;
    }
  }
  assertMeasure(meter.finish(), expected, what);
}

/** The same by their count alone. */
async function* countBytes(body: AsyncIterable<Uint8Array>, expected: Measure, what: string): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > expected.bytes) throw createExcess(expected, what);
    yield chunk;
  }
  assertMeasure({ ...expected, bytes }, expected, what);
}

function decompress(open: OpenBody, part: StoredPart, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (part.stored.bytes <= inProcessBytes && part.plain.bytes <= inProcessBytes) return decompressSmall(open, part, signal);
  if (part.compression === "zstd") {
    const options = { params: windowLimit, chunkSize: zstdPieceBytes, readableHighWaterMark: zstdAheadBytes };
    return pipeTransform("zstd", createZstdDecompress(options), open, signal);
  }
  return pipeTransform("gunzip", createGunzip({ chunkSize: pieceBytes }), open, signal);
}

async function* decompressSmall(
  open: OpenBody,
  { compression, plain }: StoredPart,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of open(signal)) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const maxOutputLength = Math.max(1, plain.bytes);
  yield compression === "gzip"
    ? gunzipSync(bytes, { maxOutputLength })
    : zstdDecompressSync(bytes, { maxOutputLength, params: windowLimit });
}

/** What a decompressor complains about is damage of the backup; anything else keeps its own name. */
async function* explainFailure(
  body: AsyncIterable<Uint8Array>,
  place: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    if (signal.aborted) throw createAbortError(signal, `Reading ${place} was stopped`);
    if (error instanceof HoldfastError && error.code !== "tool-failed") throw error;
    throw createDamage(`Cannot decompress ${place}: ${describeCause(error)}`, error);
  }
}

function assertMeasure(found: Measure, expected: Measure, what: string): void {
  if (isSameMeasure(found, expected)) return;
  if (found.bytes !== expected.bytes) throw createDamage(`The ${what} has ${found.bytes} bytes instead of ${expected.bytes}`);
  throw createDamage(`The ${what} does not match its SHA-256`);
}

function createExcess({ bytes }: Measure, what: string): HoldfastError {
  return createDamage(`The ${what} has more than the ${bytes} bytes that its manifest states`);
}

export function createDamage(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError("backup-damaged", message, {
    hint: "Use another backup; `holdfast verify --all` tells which ones are good.",
    ...(cause === undefined ? {} : { cause }),
  });
}
