import { HoldfastError } from "../base/errors.ts";
import { manifestKey, objectKey, type BackupLocation } from "./backup-keys.ts";
import { checkBytes, createDamage, type PlainReading, restoreBytes } from "./decompress.ts";
import { findInsideManifest, verifyTail } from "./lone-archive.ts";
import { parseManifest } from "./manifest.ts";
import type { Manifest, ManifestEntry, ManifestMember, ManifestPart, ManifestText } from "./manifest-schema.ts";
import type { ObjectSource } from "./object-source.ts";
import { manifestLimitBytes } from "./sealed-json.ts";

/** One stored entry on its way back. */
export interface ReadEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  readonly bytes: number;
  readonly sourcePath: string;
  readonly attributes?: NonNullable<ManifestEntry["attributes"]>;
  /** Of the whole member. */
  readonly contents: ManifestMember["contents"];
  readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

/** The largest text that is read into memory; member indexes may be larger and are read with `openText`. */
const textLimitBytes = 64 << 20;

/** A published backup, by its manifest. */
export class BackupReader {
  readonly #source: ObjectSource;
  /** The manifest as it stands inside the archive, where it was read from there. */
  readonly #inside: Uint8Array | undefined;
  readonly manifest: Manifest;
  /** Of the manifest; names exactly this backup. */
  readonly sha256: string;
  readonly location: BackupLocation;

  constructor(source: ObjectSource, folder: string, manifest: Manifest, sha256: string, inside?: Uint8Array) {
    this.#source = source;
    this.#inside = inside;
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

  /**
   * The entries of a member, to be read one after the other. A body ends normally only when all its hashes agree; of plain bytes that are only
   * counted that is the hash of what is stored.
   */
  async *readMember(member: ManifestMember, reading: PlainReading = "hashed"): AsyncGenerator<ReadEntry, void, undefined> {
    for (const entry of member.entries) {
      const { name, form, sourcePath, attributes, plain } = entry;
      yield await Promise.resolve({
        name,
        form,
        sourcePath,
        bytes: plain.bytes,
        contents: member.contents,
        ...(attributes === undefined ? {} : { attributes }),
        open: (signal: AbortSignal) => this.#readPart(entry.object, entry, signal, reading),
      });
    }
  }

  /**
   * Reads a member as it is stored, and compares its hashes; nothing is decompressed. Bytes that are those of the manifest are the ones from
   * which its plain bytes were read back when it was made.
   */
  async verifyStored(member: ManifestMember, signal: AbortSignal): Promise<void> {
    for (const { object, stored, offset } of member.entries) {
      const body = this.#openStored(object, { stored, offset }, signal);
      for await (const _ of checkBytes(body, stored, `stored bytes of ${this.manifest.name}: ${object}`)) signal.throwIfAborted();
    }
  }

  /** Reads what is not a member's entry: the archive as a whole, or the texts. */
  async verifyFrame(signal: AbortSignal): Promise<void> {
    const { manifest, location } = this;
    const { archive } = manifest;
    if (archive === null) {
      for (const text of manifest.texts) for await (const _ of this.openText(text, signal));
      return;
    }
    const key = objectKey(location, archive.object);
    const { head, stored } = archive;
    if (stored !== undefined) {
      for await (const _ of checkBytes(this.#source.get(key, undefined, signal), stored, `archive ${archive.object}`));
      return;
    }
    for await (const _ of checkBytes(this.#source.get(key, { offset: 0, bytes: head.bytes }, signal), head, `archive ${archive.object}`));
    if (this.#inside !== undefined) await verifyTail(this.#source, key, head.bytes, this.#inside, signal);
  }

  /** A generated text of this backup by its name, with or without the backup's before it. */
  findText(name: string): ManifestText {
    const { manifest } = this;
    const text =
      manifest.texts.find((candidate) => candidate.name === name) ??
      manifest.texts.find((candidate) => candidate.name === `${manifest.name}.${name}`);
    if (text === undefined) throw new HoldfastError("backup-not-found", `The backup ${manifest.name} holds no ${name}`);
    return text;
  }

  /** Its body ends normally only when all its hashes agree. */
  openText(text: ManifestText, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#readPart(text.name, text, signal);
  }

  async readText(name: string, signal: AbortSignal): Promise<string> {
    const text = this.findText(name);
    if (text.plain.bytes > textLimitBytes) throw createDamage(`${this.manifest.name}: ${name} is larger than ${textLimitBytes} bytes`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.openText(text, signal)) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }

  #readPart(object: string, part: ManifestPart, signal: AbortSignal, reading?: PlainReading): AsyncIterable<Uint8Array> {
    return restoreBytes((inner) => this.#openStored(object, part, inner), part, `${this.manifest.name}: ${object}`, signal, reading);
  }

  #openStored(object: string, { stored, offset }: Pick<ManifestPart, "stored" | "offset">, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const key = objectKey(this.location, this.manifest.archive?.object ?? object);
    return this.#source.get(key, offset === null ? undefined : { offset, bytes: stored.bytes }, signal);
  }
}

/**
 * Opens the backup whose manifest stands at a key.
 * @throws manifest-invalid, format-unsupported; backup-damaged when it is the manifest of another place
 */
export async function openBackup(source: ObjectSource, folder: string, key: string, signal: AbortSignal): Promise<BackupReader> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source.get(key, undefined, signal)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > manifestLimitBytes)
      throw new HoldfastError("manifest-invalid", `The manifest ${key} is larger than ${manifestLimitBytes} bytes`);
  }
  const { manifest, sha256 } = parseManifest(Buffer.concat(chunks), key);
  if (manifestKey({ folder, name: manifest.name, layout: manifest.layout }) !== key) {
    throw new HoldfastError("backup-damaged", `The manifest ${key} is of another backup, ${manifest.name}`, {
      hint: "It was copied or renamed; give the backup its own name back.",
    });
  }
  return new BackupReader(source, folder, manifest, sha256);
}

/** Opens an archive that was copied without what stands beside it, by the manifest inside (D10). It may have been renamed. */
export async function openLoneArchive(source: ObjectSource, folder: string, name: string, signal: AbortSignal): Promise<BackupReader> {
  const key = objectKey({ folder, name, layout: "archive" }, name);
  const inside = await findInsideManifest(source, key, signal);
  const { manifest, sha256 } = parseManifest(inside, `inside ${name}`);
  if (manifest.archive === null) throw createDamage(`The manifest inside ${name} is not of an archive`);
  const { head } = manifest.archive;
  return new BackupReader(source, folder, { ...manifest, name, archive: { object: name, head } }, sha256, inside);
}
