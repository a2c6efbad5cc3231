import { formatArchiveFolder } from "./archive-folder.ts";
import { compressBuffer, type Compression } from "./compression.ts";
import { checkBytes } from "./decompress.ts";
import { Meter, type Measure } from "./measure.ts";
import type { Spool } from "./spool.ts";
import { countPadding, createHeader, endBlocks, frameEnd, frameHeader, framePadding } from "./tar-frames.ts";

/** A part of an archive whose stored bytes wait in a spool. */
export interface Framed {
  readonly object: string;
  readonly spool: string;
  readonly stored: Measure;
  readonly plain: Measure;
  readonly mode: number;
  readonly mtimeMs: number;
}

export interface ArchiveFrame {
  /** The visible name. */
  readonly name: string;
  readonly parts: readonly Framed[];
  readonly compression: Compression;
  readonly startedAtMs: number;
  readonly spool: Spool;
  /** The sealed manifest for the inside: it knows where each part begins, and the measure of all before itself. */
  readonly embed: (offsets: ReadonlyMap<string, number>, head: Measure) => Uint8Array;
}

export interface FramedArchive {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Valid after `bytes` has ended normally. */
  readonly outcome: () => { readonly offsets: ReadonlyMap<string, number>; readonly head: Measure };
}

/** One tar of spooled parts, with the manifest as its last entry. */
export function frameArchive(frame: ArchiveFrame, signal: AbortSignal): FramedArchive {
  const offsets = new Map<string, number>();
  const head = new Meter();
  return { bytes: yieldFrames(frame, offsets, head, signal), outcome: () => ({ offsets, head: head.finish() }) };
}

async function* yieldFrames(
  frame: ArchiveFrame,
  offsets: Map<string, number>,
  head: Meter,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { name, parts, compression, spool, embed, startedAtMs } = frame;
  const top = formatArchiveFolder(name);
  for (const { object, spool: path, stored, plain, mode, mtimeMs } of parts) {
    const header = await frameHeader({ name: `${top}/${object}`, bytes: plain.bytes, mode, mtimeMs }, compression);
    head.add(header);
    yield header;
    offsets.set(object, head.bytes);
    // A spool that reads otherwise than it was written must not become part of a backup whose hash says that all is well.
    for await (const chunk of checkBytes(spool.read(path, signal), stored, `spool of ${object}`)) {
      head.add(chunk);
      yield chunk;
    }
    const padding = framePadding(plain.bytes, compression);
    head.add(padding);
    yield padding;
  }
  const manifest = embed(offsets, head.finish());
  yield await frameHeader(describeManifestFile(name, manifest, startedAtMs), compression);
  yield compressBuffer(manifest, compression);
  yield framePadding(manifest.length, compression);
  yield frameEnd(compression);
}

/** What an archive must hold after its head, uncompressed. */
export async function createArchiveTail(name: string, manifest: Uint8Array, startedAtMs: number): Promise<Uint8Array> {
  return Buffer.concat([
    await createHeader(describeManifestFile(name, manifest, startedAtMs)),
    manifest,
    new Uint8Array(countPadding(manifest.length)),
    endBlocks,
  ]);
}

function describeManifestFile(name: string, manifest: Uint8Array, startedAtMs: number) {
  return { name: `${formatArchiveFolder(name)}/manifest.json`, bytes: manifest.length, mode: 0o640, mtimeMs: startedAtMs };
}
