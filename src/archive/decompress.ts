import { Readable } from "node:stream";
import { constants, createGunzip, zstdDecompressSync, gunzipSync } from "node:zlib";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { CompressionMethod } from "./compression.ts";
import { Meter, type Measure } from "./measure.ts";
import { pipeProgram } from "./pipe-program.ts";

const inProcessBytes = 1 << 16;

/**
 * Stored bytes back to plain ones, compared with what the manifest says of both. Yields at most the expected count of plain bytes: a bomb
 * is stopped at its first excess byte. Ends normally only if sizes and hashes agree; a consumer must not trust a byte before that.
 * @param place names the entry in errors
 * @throws backup-damaged
 */
export async function* restoreBytes(
  stored: AsyncIterable<Uint8Array>,
  method: CompressionMethod,
  expected: { readonly stored: Measure; readonly plain: Measure },
  place: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const storedMeter = new Meter();
  const plainMeter = new Meter();
  const checkedStored = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of stored) {
      storedMeter.add(chunk);
      yield chunk;
    }
    assertMeasure(storedMeter.finish(), expected.stored, `stored bytes of ${place}`);
  };
  try {
    for await (const chunk of decompress(checkedStored(), method, expected, signal)) {
      plainMeter.add(chunk);
      if (plainMeter.bytes > expected.plain.bytes) throw createDamage(`${place} holds more than the ${expected.plain.bytes} bytes that its manifest states`);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof HoldfastError && error.code !== "tool-failed") throw error;
    throw createDamage(`Cannot decompress ${place}: ${describeCause(error)}`, error);
  }
  assertMeasure(plainMeter.finish(), expected.plain, `content of ${place}`);
}

async function* decompress(
  stored: AsyncIterable<Uint8Array>,
  method: CompressionMethod,
  expected: { readonly stored: Measure; readonly plain: Measure },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (method === "none") return yield* stored;
  if (expected.stored.bytes <= inProcessBytes && expected.plain.bytes <= inProcessBytes) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stored) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const limit = { maxOutputLength: Math.max(1, expected.plain.bytes) };
    yield method === "gzip" ? gunzipSync(bytes, limit) : zstdDecompressSync(bytes, limit);
    return;
  }
  if (method === "zstd") return yield* pipeProgram("zstd", ["-q", "-d", "-c"], stored, signal);
  yield* Readable.from(stored, { objectMode: false }).compose(createGunzip({ finishFlush: constants.Z_FINISH, chunkSize: 1 << 18 }));
}

function assertMeasure(found: Measure, expected: Measure, what: string): void {
  if (found.bytes !== expected.bytes) throw createDamage(`The ${what} has ${found.bytes} bytes instead of ${expected.bytes}`);
  if (found.sha256 !== expected.sha256) throw createDamage(`The ${what} does not match its SHA-256`);
}

function createDamage(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError("backup-damaged", message, {
    hint: "Use another backup; `holdfast verify --all` tells which ones are good.",
    ...(cause === undefined ? {} : { cause }),
  });
}
