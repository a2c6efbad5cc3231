import type { ByteSource } from "../base/byte-source.ts";
import { HoldfastError } from "../base/errors.ts";
import { publishedManifestName } from "./backup-keys.ts";
import { frameArchive, type Framed } from "./archive-frame.ts";
import { compressionSuffix, type Compression, type CompressionMethod } from "./compression.ts";
import { compressSource } from "./compress.ts";
import { createDamage, restoreBytes } from "./decompress.ts";
import { sealManifest } from "./manifest.ts";
import type { Manifest, ManifestDraft, ManifestEntry, ManifestPart, ManifestText } from "./manifest-schema.ts";
import { isSameMeasure, Meter, meterBytes, type Measure } from "./measure.ts";
import { findNameProblem } from "./name-template.ts";
import { ObjectNames } from "./object-names.ts";
import { Spool } from "./spool.ts";

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
  /** By datastore, of those with another one; in an archive the method is the same. */
  readonly compressions?: Readonly<Record<string, Compression>>;
  /** Of the run's start, for tar headers. */
  readonly startedAtMs: number;
}

const noProgress = (): void => undefined;

/**
 * Turns members into the objects of one backup. In the layouts `directory` and `file` every entry is an object; in `archive` entries are
 * spooled, then framed into one tar. The order of calls: `store` each entry, `read` it back, `addText` and `addFile`, `finish`.
 * What it spools lies in the spool directory, whose owner removes it.
 */
export class BackupWriter {
  readonly #options: WriterOptions;
  readonly #spool: Spool;
  readonly #names: ObjectNames | undefined;
  /** Of an archive, in its order. */
  readonly #framed: Framed[] = [];
  readonly #entries = new Map<ManifestEntry, Framed | undefined>();
  readonly #texts: { readonly name: string; readonly body: ByteSource | Uint8Array }[] = [];

  /** @throws config-invalid for a name that no backup can have */
  constructor(options: WriterOptions) {
    const problem = findNameProblem(options.name);
    if (problem !== undefined)
      throw new HoldfastError("config-invalid", `${JSON.stringify(options.name)} cannot be the name of a backup: ${problem}`);
    this.#options = options;
    this.#spool = new Spool(options.spoolDir);
    this.#names = options.layout === "file" ? undefined : new ObjectNames(options.layout);
  }

  /** Stores one entry of a datastore's member and gives what the manifest says of it. */
  async store(datastore: string, entry: NewEntry, onPlain: (bytes: number) => void, signal: AbortSignal): Promise<ManifestEntry> {
    const compression = this.#chooseCompression(datastore);
    const object = this.#reserveObject(datastore, entry.name, compression.method);
    const { stored, plain, spool } = await this.#storeBytes(object, entry.body, compression, onPlain, signal);
    const { name, form, sourcePath, attributes } = entry;
    const manifestEntry: ManifestEntry = {
      name,
      form,
      object,
      stored,
      plain,
      compression: compression.method,
      encryption: null,
      offset: null,
      sourcePath,
      ...(attributes === undefined ? {} : { attributes }),
    };
    const framed =
      spool === undefined
        ? undefined
        : { object, spool, stored, plain, mode: attributes?.mode ?? 0o640, mtimeMs: this.#readMtime(attributes) };
    if (framed !== undefined) this.#framed.push(framed);
    this.#entries.set(manifestEntry, framed);
    return manifestEntry;
  }

  /** Reads a stored entry back, decompressed; ends normally only when all hashes agree. */
  read(entry: ManifestEntry, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const spool = this.#entries.get(entry)?.spool;
    const open = (inner: AbortSignal): AsyncIterable<Uint8Array> =>
      spool === undefined ? this.#options.store.get(entry.object, undefined, inner) : this.#spool.read(spool, inner);
    return restoreBytes(open, entry, entry.object, signal);
  }

  /** Adds a generated text; it is hashed in the manifest. */
  addText(name: string, body: string | Uint8Array): void {
    this.#texts.push({ name: this.#nameText(name), body: typeof body === "string" ? Buffer.from(body) : body });
  }

  /** Adds a generated text that may be large, a member's index, by its file; takes the file away from its place. */
  async addFile(name: string, path: string): Promise<void> {
    this.#texts.push({ name: this.#nameText(name), body: await this.#spool.takeFile(path) });
  }

  /**
   * Stores what is left and reads it back. Gives the manifest for `publish`.
   * @throws backup-damaged when the destination gives back other bytes than it was given
   */
  async finish(
    draft: ManifestDraft,
    signal: AbortSignal,
  ): Promise<{ readonly manifest: Manifest; readonly name: string; readonly body: Uint8Array }> {
    const { layout, name } = this.#options;
    if (layout === "file" && this.#entries.size === 0) throw new HoldfastError("source-empty", `There is no file to back up as ${name}`);
    const manifest = layout === "archive" ? await this.#finishArchive(draft, signal) : await this.#finishObjects(draft, signal);
    return { manifest, name: publishedManifestName(layout, name), body: sealManifest(manifest) };
  }

  async #finishObjects(draft: ManifestDraft, signal: AbortSignal): Promise<Manifest> {
    const texts: ManifestText[] = [];
    for (const { name, body } of this.#texts) {
      const { stored } = await this.#storeBytes(name, body, { method: "none" }, noProgress, signal);
      await this.#assertStored(name, stored, signal);
      texts.push({ name, ...createPart(stored, stored, "none") });
    }
    return this.#complete(draft, texts, null);
  }

  async #finishArchive(draft: ManifestDraft, signal: AbortSignal): Promise<Manifest> {
    const { store, name, compression, startedAtMs } = this.#options;
    const texts: (Framed & { readonly spool: string })[] = [];
    for (const { name: object, body } of this.#texts) {
      const { stored, plain, spool } = await this.#storeBytes(object, body, compression, noProgress, signal);
      texts.push({ object, spool: spool ?? "", stored, plain, mode: 0o640, mtimeMs: startedAtMs });
    }
    const describe = (offsets: ReadonlyMap<string, number>, archive: NonNullable<Manifest["archive"]>): Manifest => {
      const locate = <Part extends ManifestPart>(object: string, part: Part): Part => ({ ...part, offset: offsets.get(object) ?? null });
      const members = draft.members.map((member) => ({ ...member, entries: member.entries.map((entry) => locate(entry.object, entry)) }));
      const located = texts.map(({ object, stored, plain }) => ({
        name: object,
        ...locate(object, createPart(stored, plain, compression.method)),
      }));
      return this.#complete({ ...draft, members }, located, archive);
    };
    const parts = [...this.#framed, ...texts];
    const whole = new Meter();
    const frame = {
      name,
      parts,
      compression,
      startedAtMs,
      spool: this.#spool,
      embed: (offsets: ReadonlyMap<string, number>, head: Measure) => sealManifest(describe(offsets, { object: name, head })),
    };
    const framed = frameArchive(frame, signal);
    await store.put(name, meterBytes(framed.bytes, whole), signal);
    const stored = whole.finish();
    await this.#assertStored(name, stored, signal);
    const { offsets, head } = framed.outcome();
    for (const { spool } of parts) await this.#spool.remove(spool);
    return describe(offsets, { object: name, head, stored });
  }

  #complete(draft: ManifestDraft, texts: ManifestText[], archive: Manifest["archive"]): Manifest {
    return { format: 1, ...draft, name: this.#options.name, layout: this.#options.layout, archive, texts };
  }

  /** Into the store, or in an archive into the spool. */
  async #storeBytes(
    object: string,
    body: ByteSource | Uint8Array,
    compression: Compression,
    onPlain: (bytes: number) => void,
    signal: AbortSignal,
  ) {
    const source = body instanceof Uint8Array ? { kind: "stream" as const, open: () => yieldOnce(body) } : body;
    const compressed = compressSource(source, compression, onPlain, signal);
    const meter = new Meter();
    const bytes = meterBytes(compressed.bytes, meter);
    const spool = this.#options.layout === "archive" ? await this.#spool.write(bytes) : undefined;
    if (spool === undefined) await this.#options.store.put(object, bytes, signal);
    return { stored: meter.finish(), plain: compressed.plain(), spool };
  }

  /** The destination is asked again: what it took is not what it keeps until it has been read. */
  async #assertStored(name: string, expected: Measure, signal: AbortSignal): Promise<void> {
    const meter = new Meter();
    for await (const chunk of this.#options.store.get(name, undefined, signal)) meter.add(chunk);
    if (isSameMeasure(meter.finish(), expected)) return;
    throw createDamage(`The destination gave back other bytes of ${name} than were stored`);
  }

  #chooseCompression(datastore: string): Compression {
    const { layout, compression, compressions } = this.#options;
    const own = compressions?.[datastore] ?? compression;
    if (layout === "archive" && own.method !== compression.method)
      throw new HoldfastError("internal", `Bug: "${datastore}" is compressed by ${own.method} in an archive of ${compression.method}`);
    return own;
  }

  #reserveObject(datastore: string, entry: string, method: CompressionMethod): string {
    const { layout, name } = this.#options;
    if (this.#names !== undefined) return this.#names.reserve(datastore, entry, layout === "archive" ? "" : compressionSuffix(method));
    if (this.#entries.size === 0) return name;
    throw new HoldfastError("config-invalid", `The layout "file" holds one file; "${datastore}" has a further one, ${entry}`, {
      hint: "Use the layout `directory` or `archive`.",
    });
  }

  #nameText(name: string): string {
    const named = this.#options.layout === "file" ? `${this.#options.name}.${name}` : name;
    if (this.#texts.some((text) => text.name === named)) throw new HoldfastError("internal", `Bug: the text ${named} was added twice`);
    return named;
  }

  #readMtime(attributes: ManifestEntry["attributes"]): number {
    return attributes === undefined ? this.#options.startedAtMs : Number(BigInt(attributes.mtimeNs) / 1_000_000n);
  }
}

function createPart(stored: Measure, plain: Measure, compression: CompressionMethod): ManifestPart {
  return { stored, plain, compression, encryption: null, offset: null };
}

async function* yieldOnce(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield body;
}
