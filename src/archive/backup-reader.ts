import { createGunzip } from "node:zlib";
import { Readable } from "node:stream";
import { extract } from "tar-stream";
import { HoldfastError } from "../base/errors.ts";
import { manifestKey, objectKey, type BackupLocation } from "./backup-keys.ts";
import { archiveStem } from "./backup-writer.ts";
import { restoreBytes } from "./decompress.ts";
import { manifestLimitBytes } from "./sealed-json.ts";
import { parseManifest, type Manifest, type ManifestEntry, type ManifestMember } from "./manifest.ts";
import { Meter } from "./measure.ts";
import { pipeProgram } from "./pipe-program.ts";

/** The part of a destination that reading a backup needs. */
export interface ObjectSource {
  get(key: string, range: { readonly offset: number; readonly bytes: number } | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
  stat(key: string, signal: AbortSignal): Promise<{ readonly bytes: number } | undefined>;
}

/** One stored entry on its way back. */
export interface ReadEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  readonly bytes: number;
  readonly sourcePath: string;
  readonly attributes?: NonNullable<ManifestEntry["attributes"]>;
  readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

/** A published backup, by its manifest. */
export class BackupReader {
  readonly #source: ObjectSource;
  readonly manifest: Manifest;
  /** Of the manifest; names exactly this backup. */
  readonly sha256: string;
  readonly location: BackupLocation;

  constructor(source: ObjectSource, folder: string, manifest: Manifest, sha256: string) {
    this.#source = source;
    this.manifest = manifest;
    this.sha256 = sha256;
    this.location = { folder, name: manifest.name, layout: manifest.layout };
  }

  findMember(datastore: string): ManifestMember {
    const member = this.manifest.members.find((candidate) => candidate.datastore === datastore);
    if (member !== undefined) return member;
    throw new HoldfastError("unknown-name", `The backup ${this.manifest.name} has no datastore "${datastore}"`, {
      hint: `It has: ${this.manifest.members.map((candidate) => candidate.datastore).join(", ")}.`,
    });
  }

  /** The entries of a member, to be read one after the other. A body ends normally only when all its hashes agree. */
  async *readMember(member: ManifestMember): AsyncGenerator<ReadEntry, void, undefined> {
    for (const entry of member.entries) {
      const { name, form, sourcePath, attributes, plain } = entry;
      yield await Promise.resolve({
        name,
        form,
        sourcePath,
        bytes: plain.bytes,
        ...(attributes === undefined ? {} : { attributes }),
        open: (signal: AbortSignal) => this.#readEntry(entry, signal),
      });
    }
  }

  #readEntry(entry: ManifestEntry, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const stored =
      entry.offset === null
        ? this.#source.get(objectKey(this.location, entry.object), undefined, signal)
        : this.#source.get(objectKey(this.location, this.manifest.name), { offset: entry.offset, bytes: entry.stored.bytes }, signal);
    return restoreBytes(stored, entry.compression, { stored: entry.stored, plain: entry.plain }, `${this.manifest.name}: ${entry.object}`, signal);
  }

  /** Reads what is not a member's entry: the archive as a whole, and the texts. */
  async verifyFrame(signal: AbortSignal): Promise<void> {
    const { archive, texts } = this.manifest;
    if (archive?.stored !== undefined) await this.#assertObject(archive.object, archive.stored, signal);
    if (archive !== null) return;
    for (const text of texts) await this.#assertObject(text.name, text.plain, signal);
  }

  /** A generated text of this backup. */
  async readText(name: string, signal: AbortSignal): Promise<string> {
    const { manifest, location } = this;
    const text = manifest.texts.find((candidate) => candidate.name === name || candidate.name === `${manifest.name}.${name}`);
    if (text === undefined) throw new HoldfastError("backup-not-found", `The backup ${manifest.name} holds no ${name}`);
    const bytes =
      manifest.archive === null
        ? await collect(this.#source.get(objectKey(location, text.name), undefined, signal), text.plain.bytes + 1)
        : await findInArchive(this.#source, objectKey(location, manifest.name), `${archiveStem(manifest.name)}/${text.name}`, signal);
    return bytes.toString("utf8");
  }

  async #assertObject(object: string, expected: { readonly bytes: number; readonly sha256: string }, signal: AbortSignal): Promise<void> {
    const meter = new Meter();
    for await (const chunk of this.#source.get(objectKey(this.location, object), undefined, signal)) {
      meter.add(chunk);
      if (meter.bytes > expected.bytes) break;
    }
    const found = meter.finish();
    if (found.bytes === expected.bytes && found.sha256 === expected.sha256) return;
    throw new HoldfastError("backup-damaged", `${this.manifest.name}: ${object} does not match its manifest`, {
      hint: "Use another backup; `holdfast verify --all` tells which ones are good.",
    });
  }
}

/** Opens the backup whose manifest stands at a key. */
export async function openBackup(source: ObjectSource, folder: string, key: string, signal: AbortSignal): Promise<BackupReader> {
  const bytes = await collect(source.get(key, undefined, signal), manifestLimitBytes + 1);
  const { manifest, sha256 } = parseManifest(bytes, key);
  if (manifestKey({ folder, name: manifest.name, layout: manifest.layout }) !== key) {
    throw new HoldfastError("backup-damaged", `The manifest ${key} is of another backup, ${manifest.name}`, { hint: "It was copied or renamed; give the backup its own name back." });
  }
  return new BackupReader(source, folder, manifest, sha256);
}

/** Opens an archive that was copied without what stands beside it, by the manifest inside (D10). */
export async function openLoneArchive(source: ObjectSource, folder: string, name: string, signal: AbortSignal): Promise<BackupReader> {
  const key = objectKey({ folder, name, layout: "archive" }, name);
  const bytes = await findInArchive(source, key, undefined, signal);
  const { manifest, sha256 } = parseManifest(bytes, `inside ${name}`);
  return new BackupReader(source, folder, { ...manifest, name, archive: { object: name } }, sha256);
}

/** Finds one small file in a tar by its path, or the manifest in the top folder. */
async function findInArchive(source: ObjectSource, key: string, path: string | undefined, signal: AbortSignal): Promise<Buffer> {
  const reader = extract();
  const stored = source.get(key, undefined, signal);
  const tar = Readable.from(decompressByName(stored, key, signal), { objectMode: false });
  tar.on("error", (error) => reader.destroy(error));
  tar.pipe(reader);
  try {
    for await (const entry of reader) {
      const wanted = path === undefined ? /^[^/]+\/manifest\.json$/.test(entry.header.name) : entry.header.name === path;
      if (wanted) return await collect(entry as AsyncIterable<Uint8Array>, manifestLimitBytes + 1);
      entry.resume();
    }
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError("backup-damaged", `Cannot read the archive ${key}`, { cause: error });
  } finally {
    tar.destroy();
  }
  throw new HoldfastError("backup-incomplete", `The archive ${key} holds no ${path ?? "manifest"}`, { hint: "It is not one of Holdfast's, or its end is missing." });
}

function decompressByName(stored: AsyncIterable<Uint8Array>, key: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (key.endsWith(".gz")) return Readable.from(stored, { objectMode: false }).compose(createGunzip()) as AsyncIterable<Uint8Array>;
  if (key.endsWith(".zst")) return pipeProgram("zstd", ["-q", "-d", "-c"], stored, signal);
  return stored;
}

async function collect(body: AsyncIterable<Uint8Array>, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > limitBytes) throw new HoldfastError("manifest-invalid", `A text of a backup is larger than ${limitBytes} bytes`);
  }
  return Buffer.concat(chunks);
}
