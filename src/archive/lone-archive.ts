import { Readable, type Writable } from "node:stream";
import { createGunzip, gunzipSync, zstdDecompressSync } from "node:zlib";
import { extract } from "tar-stream";
import { HoldfastError, readErrno } from "../base/errors.ts";
import { feedBytes } from "../base/feed-bytes.ts";
import { createArchiveTail } from "./archive-frame.ts";
import type { CompressionMethod } from "./compression.ts";
import { pipeProgram, pipeTransform, type OpenBody } from "./convert-bytes.ts";
import { createDamage } from "./decompress.ts";
import { parseManifest } from "./manifest.ts";
import type { ObjectSource } from "./object-source.ts";
import { manifestLimitBytes } from "./sealed-json.ts";

/** What stands after an archive's head: the manifest with its tar header, padding and end, at most this much. */
const tailLimitBytes = manifestLimitBytes + (1 << 20);
/** Up to here an archive is read at once: a process is not worth its start. */
const smallBytes = 1 << 20;
const smallPlainBytes = 1 << 26;

/**
 * The sealed manifest inside an archive, its last entry. The archive is read to its end.
 * @throws backup-damaged, backup-incomplete
 */
export async function findInsideManifest(source: ObjectSource, key: string, signal: AbortSignal): Promise<Uint8Array> {
  let manifests: readonly Uint8Array[];
  try {
    manifests = await collectFromTar(await openTar(source, key, signal));
  } catch (error) {
    if (error instanceof HoldfastError && error.code !== "tool-failed") throw error;
    throw createDamage(`Cannot read the archive ${key}`, error);
  }
  if (manifests.length > 1) throw createDamage(`The archive ${key} holds ${manifests.length} manifests`);
  if (manifests[0] !== undefined) return manifests[0];
  throw new HoldfastError("backup-incomplete", `The archive ${key} holds no manifest`, {
    hint: "It is not one of Holdfast's, or its end is missing.",
  });
}

/**
 * Compares all that follows an archive's head with what must stand there. Nothing else hashes it: the manifest cannot hold its own hash.
 * @throws backup-damaged
 */
export async function verifyTail(
  source: ObjectSource,
  key: string,
  headBytes: number,
  inside: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const bytes = ((await source.stat(key, signal))?.bytes ?? 0) - headBytes;
  const { manifest } = parseManifest(inside, `inside ${key}`);
  const expected = await createArchiveTail(manifest.name, inside, Date.parse(manifest.createdAt));
  if (bytes > 0 && bytes <= tailLimitBytes) {
    const method = await detectCompression(source, key, signal);
    const tail = decompressExactly(method, await collect(source.get(key, { offset: headBytes, bytes }, signal)), expected.length);
    if (typeof tail !== "string" && Buffer.compare(tail, expected) === 0) return;
  }
  throw createDamage(`The end of the archive ${key} is not what was written`);
}

async function detectCompression(source: ObjectSource, key: string, signal: AbortSignal): Promise<CompressionMethod> {
  const { bytes } = (await source.stat(key, signal)) ?? { bytes: 0 };
  const start: Uint8Array[] = [];
  for await (const chunk of source.get(key, { offset: 0, bytes: Math.min(4, bytes) }, signal)) start.push(chunk);
  const magic = Buffer.concat(start).toString("hex");
  if (magic.startsWith("1f8b")) return "gzip";
  return magic === "28b52ffd" ? "zstd" : "none";
}

async function openTar(source: ObjectSource, key: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const method = await detectCompression(source, key, signal);
  const open: OpenBody = (inner) => source.get(key, undefined, inner);
  const { bytes } = (await source.stat(key, signal)) ?? { bytes: 0 };
  const small = bytes <= smallBytes ? decompressExactly(method, await collect(open(signal)), smallPlainBytes) : "too large";
  if (small === "damaged") throw createDamage(`Cannot decompress the archive ${key}`);
  if (small !== "too large") return Readable.from([small], { objectMode: false });
  if (method === "none") return open(signal);
  if (method === "zstd") return pipeProgram("zstd", ["-q", "-d", "-c"], open, signal);
  return pipeTransform("gunzip", createGunzip({ chunkSize: 1 << 18 }), open, signal);
}

/** Damaged too when anything follows its last member or frame, which node:zlib passes over. */
function decompressExactly(method: CompressionMethod, stored: Uint8Array, limitBytes: number): Uint8Array | "damaged" | "too large" {
  if (method === "none") return stored;
  const options = { maxOutputLength: limitBytes, info: true };
  try {
    const result = method === "gzip" ? gunzipSync(stored, options) : zstdDecompressSync(stored, options);
    const { buffer, engine } = result as unknown as { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };
    return engine.bytesWritten === stored.length ? buffer : "damaged";
  } catch (error) {
    return readErrno(error) === "ERR_BUFFER_TOO_LARGE" ? "too large" : "damaged";
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The manifests in the top folder of a tar. */
async function collectFromTar(tar: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = [];
  const reader = extract();
  reader.on("entry", (header, entry, next) => {
    const wanted =
      header.type === "file" && /^[^/]+\/manifest\.json$/.test(header.name) && (header.size ?? 0) <= manifestLimitBytes && found.length < 2;
    const chunks: Uint8Array[] = [];
    entry.on("data", (chunk) => {
      if (wanted) chunks.push(chunk as Uint8Array);
    });
    entry.on("error", () => undefined);
    entry.on("end", () => {
      if (wanted) found.push(Buffer.concat(chunks));
      next();
    });
  });
  const closed = new Promise<void>((resolve, reject) => {
    reader.once("error", reject).once("close", resolve);
  });
  closed.catch(() => undefined);
  try {
    await feedBytes(tar, reader as unknown as Writable);
    await closed;
  } finally {
    reader.destroy();
  }
  return found;
}
