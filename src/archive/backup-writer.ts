import { createReadStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ByteSource } from "../base/byte-source.ts";
import { HoldfastError } from "../base/errors.ts";
import { publishedManifestName } from "./backup-keys.ts";
import { compressBuffer, compressionSuffix, type Compression } from "./compression.ts";
import { compressSource } from "./compress.ts";
import { restoreBytes } from "./decompress.ts";
import { sealManifest, type Manifest, type ManifestEntry } from "./manifest.ts";
import { Meter, measureBytes, meterBytes, type Measure } from "./measure.ts";
import { frameEnd, frameHeader, framePadding } from "./tar-frames.ts";

/** The part of a publication that the writer needs. */
export interface ObjectStore {
  put(name: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<{ readonly bytes: number }>;
  get(name: string, range: { readonly offset: number; readonly bytes: number } | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface NewEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  readonly body: ByteSource;
  readonly sourcePath: string;
  readonly attributes?: ManifestEntry["attributes"];
}

export interface WriterOptions {
  readonly store: ObjectStore;
  /** A private directory for spools of an archive's entries: their sizes must be known before they can be framed. */
  readonly spoolDir: string;
  readonly layout: Manifest["layout"];
  /** The visible name. */
  readonly name: string;
  readonly compression: Compression;
  /** Of the run's start, for tar headers. */
  readonly startedAtMs: number;
}

/** The manifest without what only the writer knows. */
export type ManifestDraft = Omit<Manifest, "archive" | "texts" | "layout" | "name" | "format">;

interface Part {
  readonly entry: ManifestEntry;
  /** Path of the spool, in an archive. */
  readonly spool: string | undefined;
}

interface Text {
  readonly name: string;
  readonly body: Uint8Array;
}

/**
 * Turns members into the objects of one backup. In the layouts `directory` and `file` every entry is an object; in `archive` entries are
 * spooled, then framed into one tar. The order of calls: `store` each entry, `read` it back, `addText`, `finish`.
 */
export class BackupWriter {
  readonly #options: WriterOptions;
  readonly #parts = new Map<ManifestEntry, Part>();
  readonly #texts: Text[] = [];
  readonly #taken = new Set<string>(["manifest.json"]);

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Stores one entry of a datastore's member and gives what the manifest says of it. */
  async store(datastore: string, entry: NewEntry, onPlain: (bytes: number) => void, signal: AbortSignal): Promise<ManifestEntry> {
    const { compression, layout, store, name, spoolDir } = this.#options;
    const object = layout === "file" ? name : this.#reserve(datastore, layout === "archive" ? entry.name : entry.name + compressionSuffix(compression.method));
    const source = compressSource(entry.body, compression, onPlain, signal);
    const meter = new Meter();
    const spool = layout === "archive" ? join(spoolDir, `${this.#parts.size}.spool`) : undefined;
    if (spool === undefined) await store.put(object, meterBytes(source.bytes, meter), signal);
    else await writeSpool(spool, meterBytes(source.bytes, meter));
    const stored: ManifestEntry = {
      name: entry.name,
      form: entry.form,
      object,
      stored: meter.finish(),
      plain: source.plain(),
      compression: compression.method,
      encryption: null,
      offset: null,
      sourcePath: entry.sourcePath,
      ...(entry.attributes === undefined ? {} : { attributes: entry.attributes }),
    };
    this.#parts.set(stored, { entry: stored, spool });
    return stored;
  }

  /** Reads a stored entry back, decompressed; ends normally only when all hashes agree. */
  read(entry: ManifestEntry, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const spool = this.#parts.get(entry)?.spool;
    const stored = spool === undefined ? this.#options.store.get(entry.object, undefined, signal) : createReadStream(spool, { highWaterMark: 1 << 20 });
    return restoreBytes(stored as AsyncIterable<Uint8Array>, entry.compression, { stored: entry.stored, plain: entry.plain }, entry.object, signal);
  }

  /** Adds a generated text; it is hashed in the manifest. */
  addText(name: string, body: string | Uint8Array): void {
    const named = this.#options.layout === "file" ? `${this.#options.name}.${name}` : name;
    this.#taken.add(named);
    this.#texts.push({ name: named, body: typeof body === "string" ? Buffer.from(body) : body });
  }

  /**
   * Stores what is left and reads it back. Gives the manifest for `publish`.
   * @throws backup-damaged when the destination gives back other bytes than it was given
   */
  async finish(draft: ManifestDraft, signal: AbortSignal): Promise<{ readonly manifest: Manifest; readonly name: string; readonly body: Uint8Array }> {
    const { layout, name } = this.#options;
    const manifest = layout === "archive" ? await this.#finishArchive(draft, signal) : await this.#finishObjects(draft, signal);
    return { manifest, name: publishedManifestName(layout, name), body: sealManifest(manifest) };
  }

  #complete(draft: ManifestDraft, archive: Manifest["archive"]): Manifest {
    const texts = this.#texts.map(({ name, body }) => ({ name, plain: measureBytes(body) }));
    return { format: 1, ...draft, name: this.#options.name, layout: this.#options.layout, archive, texts };
  }

  async #finishObjects(draft: ManifestDraft, signal: AbortSignal): Promise<Manifest> {
    for (const text of this.#texts) {
      await this.#options.store.put(text.name, once(text.body), signal);
      await this.#assertStored(text.name, measureBytes(text.body), signal);
    }
    return this.#complete(draft, null);
  }

  async #finishArchive(draft: ManifestDraft, signal: AbortSignal): Promise<Manifest> {
    const { store, name } = this.#options;
    const meter = new Meter();
    const offsets = new Map<string, number>();
    const locate = (): ManifestDraft => ({
      ...draft,
      members: draft.members.map((member) => ({ ...member, entries: member.entries.map((entry) => ({ ...entry, offset: offsets.get(entry.object) ?? null })) })),
    });
    const embed = (): Uint8Array => sealManifest(this.#complete(locate(), { object: name }));
    await store.put(name, meterBytes(this.#frame(offsets, meter, embed), meter), signal);
    const stored = meter.finish();
    await this.#assertStored(name, stored, signal);
    for (const { spool } of this.#parts.values()) if (spool !== undefined) await rm(spool, { force: true });
    return this.#complete(locate(), { object: name, stored });
  }

  async *#frame(offsets: Map<string, number>, meter: Meter, embed: () => Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    const { compression, startedAtMs } = this.#options;
    const top = archiveStem(this.#options.name);
    for (const { entry, spool } of this.#parts.values()) {
      if (spool === undefined) throw new HoldfastError("internal", "Bug: an archive's entry has no spool");
      const mtimeMs = entry.attributes === undefined ? startedAtMs : Number(BigInt(entry.attributes.mtimeNs) / 1_000_000n);
      yield await frameHeader({ name: `${top}/${entry.object}`, bytes: entry.plain.bytes, mode: entry.attributes?.mode ?? 0o640, mtimeMs }, compression);
      offsets.set(entry.object, meter.bytes);
      yield* createReadStream(spool, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>;
      yield framePadding(entry.plain.bytes, compression);
    }
    const last = { name: "manifest.json", make: embed };
    for (const text of [...this.#texts.map(({ name, body }) => ({ name, make: () => body })), last]) {
      const body = text.make();
      yield await frameHeader({ name: `${top}/${text.name}`, bytes: body.length, mode: 0o640, mtimeMs: startedAtMs }, compression);
      yield compressBuffer(body, compression);
      yield framePadding(body.length, compression);
    }
    yield frameEnd(compression);
  }

  /** The destination is asked again: what it took is not what it keeps until it has been read. */
  async #assertStored(name: string, expected: Measure, signal: AbortSignal): Promise<void> {
    const meter = new Meter();
    for await (const chunk of this.#options.store.get(name, undefined, signal)) meter.add(chunk);
    const found = meter.finish();
    if (found.bytes === expected.bytes && found.sha256 === expected.sha256) return;
    throw new HoldfastError("backup-damaged", `The destination gave back other bytes of ${name} than were stored`, {
      hint: "Check the disk and the memory of this machine, then run the backup again.",
    });
  }

  #reserve(datastore: string, wanted: string): string {
    const object = this.#taken.has(wanted) ? `${datastore}/${wanted}` : wanted;
    if (this.#taken.has(object)) throw new HoldfastError("conflict", `Two entries of "${datastore}" have the name ${wanted}`);
    this.#taken.add(object);
    return object;
  }
}

/** The folder inside an archive: its name without `.tar`, `.tar.gz` or `.tar.zst`. */
export function archiveStem(name: string): string {
  return name.replace(/\.tar(\.gz|\.zst)?$/, "");
}

async function writeSpool(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  await using file = await open(path, "wx", 0o600);
  for await (const chunk of body) await file.appendFile(chunk);
}

// oxlint-disable-next-line require-await -- an async iterable is what `put` takes
async function* once(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield body;
}
