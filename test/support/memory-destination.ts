import { HoldfastError } from "../../src/base/errors.ts";
import { createId } from "../../src/base/ids.ts";
import type {
  ByteRange,
  Destination,
  DestinationFacts,
  ObjectFacts,
  Publication,
  PublicationShape,
  Recovered,
} from "../../src/destinations/contract.ts";
import { assertNotAborted, untilAborted } from "../../src/destinations/interrupt.ts";
import { parseKey } from "../../src/destinations/parse-key.ts";

interface Stored {
  readonly body: Buffer;
  readonly modifiedAtMs: number;
}

interface Staging {
  readonly folder: string;
  readonly name: string;
  readonly shape: PublicationShape;
  readonly objects: Map<string, Stored>;
  /** Name of the manifest, once everything is whole. */
  manifest?: string;
}

/** What stays when every handle is dropped: the medium of a memory destination, with the faults that a test gives it. */
export class MemoryMedium {
  readonly objects = new Map<string, Stored>();
  readonly stagings = new Map<string, Staging>();
  readonly id = createId(Date.now());
  marker: string | undefined;
  present = true;
  readOnly = false;
  /** Bytes that still fit. */
  freeBytes = Number.MAX_SAFE_INTEGER;
  /** The next publish stops, as a crash would, when everything is whole: `before` or `after` the objects became visible. */
  crash: "before" | "after" | undefined;
}

/** The reference implementation of a destination, for tests. Handles on one medium see the same objects. */
export class MemoryDestination implements Destination {
  readonly kind = "memory";
  readonly name: string;
  readonly #medium: MemoryMedium;

  constructor(name: string, medium: MemoryMedium) {
    this.name = name;
    this.#medium = medium;
  }

  async probe(signal: AbortSignal): Promise<DestinationFacts> {
    this.#assertPresent(signal);
    const { marker, readOnly, freeBytes } = this.#medium;
    return { summary: "memory", freeBytes, marked: marker === this.name, writable: !readOnly, notes: [] };
  }

  async identify(signal: AbortSignal): Promise<string> {
    this.#assertPresent(signal);
    this.#assertMarked();
    return this.#medium.id;
  }

  async openPublication(folder: string, name: string, shape: PublicationShape, id: string, signal: AbortSignal): Promise<Publication> {
    this.#assertWritable(signal);
    if (parseKey(name).length !== 1) throw new HoldfastError("usage", `Not a name for a backup: ${name}`);
    parseKey(folder);
    if (this.#medium.stagings.has(id) || (await this.exists(join(folder, name), signal))) throw createConflict(join(folder, name));
    const staging: Staging = { folder, name, shape, objects: new Map() };
    this.#medium.stagings.set(id, staging);
    return new MemoryPublication(this.#medium, id, staging);
  }

  async exists(key: string, signal: AbortSignal): Promise<boolean> {
    this.#assertPresent(signal);
    parseKey(key);
    const visible = [...this.#medium.objects.keys()].some((known) => known === key || known.startsWith(`${key}/`));
    return visible || [...this.#medium.stagings.values()].some(({ folder, name }) => join(folder, name) === key);
  }

  async *get(key: string, range: ByteRange | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    this.#assertPresent(signal);
    parseKey(key);
    yield* readStored(this.#medium.objects.get(key), key, range, signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<ObjectFacts | undefined> {
    this.#assertPresent(signal);
    parseKey(key);
    const stored = this.#medium.objects.get(key);
    return stored === undefined ? undefined : { key, bytes: stored.body.length, modifiedAtMs: stored.modifiedAtMs };
  }

  async *list(folder: string, signal: AbortSignal): AsyncGenerator<ObjectFacts, void, undefined> {
    this.#assertPresent(signal);
    parseKey(folder);
    for (const [key, { body, modifiedAtMs }] of this.#medium.objects) {
      if (folder === "" || key.startsWith(`${folder}/`)) yield { key, bytes: body.length, modifiedAtMs };
    }
  }

  async append(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#assertWritable(signal);
    parseKey(key);
    if (bytes.at(-1) !== 0x0a) throw new HoldfastError("internal", `Bug: only whole lines can be appended: ${key}`);
    const before = this.#medium.objects.get(key)?.body ?? Buffer.alloc(0);
    takeSpace(this.#medium, bytes.length);
    this.#medium.objects.set(key, store(Buffer.concat([before, bytes])));
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    this.#assertWritable(signal);
    if (parseKey(key).length === 0) throw new HoldfastError("usage", "The destination itself cannot be removed");
    for (const known of this.#medium.objects.keys()) if (known === key || known.startsWith(`${key}/`)) this.#medium.objects.delete(known);
  }

  async recover(isActive: (id: string) => boolean, signal: AbortSignal): Promise<readonly Recovered[]> {
    this.#assertWritable(signal);
    const recovered: Recovered[] = [];
    for (const [id, staging] of this.#medium.stagings) {
      if (isActive(id)) continue;
      const name = join(staging.folder, staging.name);
      const action = staging.manifest === undefined ? "removed" : "rolled-forward";
      if (staging.manifest !== undefined) expose(this.#medium, staging);
      this.#medium.stagings.delete(id);
      recovered.push({ action, name, message: `${name}: ${action}` });
    }
    return recovered;
  }

  async initialize(mode: "init" | "adopt", signal: AbortSignal): Promise<void> {
    assertNotAborted(signal);
    const { marker, objects } = this.#medium;
    if (this.#medium.readOnly) throw createUnwritable();
    if (marker !== undefined && marker !== this.name) throw new HoldfastError("destination-foreign", `It belongs to "${marker}"`);
    if (marker === undefined && mode === "init" && objects.size > 0) throw new HoldfastError("refused", "It is not empty");
    this.#medium.present = true;
    this.#medium.marker = this.name;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // holds nothing open
  }

  #assertPresent(signal: AbortSignal): void {
    assertNotAborted(signal);
    if (this.#medium.present) return;
    throw new HoldfastError("destination-missing", "It is not there", { hint: `holdfast destination init ${this.name}` });
  }

  #assertWritable(signal: AbortSignal): void {
    this.#assertPresent(signal);
    this.#assertMarked();
    if (this.#medium.readOnly) throw createUnwritable();
  }

  #assertMarked(): void {
    const { marker } = this.#medium;
    if (marker === undefined) {
      throw new HoldfastError("destination-unmarked", "It has no marker", { hint: `holdfast destination init ${this.name}` });
    }
    if (marker !== this.name) throw new HoldfastError("destination-foreign", `It belongs to "${marker}"`);
  }
}

class MemoryPublication implements Publication {
  readonly #medium: MemoryMedium;
  readonly #id: string;
  readonly #staging: Staging;
  #closed = false;

  constructor(medium: MemoryMedium, id: string, staging: Staging) {
    this.#medium = medium;
    this.#id = id;
    this.#staging = staging;
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<{ readonly bytes: number }> {
    assertNotAborted(signal);
    const { objects, shape } = this.#staging;
    const depth = parseKey(name).length;
    if (depth === 0 || (shape === "beside" && depth > 1)) throw new HoldfastError("usage", `Not a name for an object: ${name}`);
    if (objects.has(name)) throw createConflict(name);
    if (shape === "beside" && objects.size === 0 && name !== this.#staging.name) {
      throw new HoldfastError("internal", `Bug: the first object of the backup ${this.#staging.name} is named ${name}`);
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of untilAborted(body, signal)) {
        takeSpace(this.#medium, chunk.length);
        bytes += chunk.length;
        chunks.push(Buffer.from(chunk)); // a copy: the producer may use its buffer again
      }
    } catch (error) {
      takeSpace(this.#medium, -bytes);
      throw error;
    }
    objects.set(name, store(Buffer.concat(chunks)));
    return { bytes };
  }

  get(name: string, range: ByteRange | undefined, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return readStored(this.#staging.objects.get(name), name, range, signal);
  }

  async publish(manifest: { readonly name: string; readonly body: Uint8Array }, signal: AbortSignal): Promise<void> {
    assertNotAborted(signal);
    if (this.#closed) throw new HoldfastError("internal", "Bug: the publication is closed");
    if (this.#staging.objects.has(manifest.name)) throw createConflict(manifest.name);
    takeSpace(this.#medium, manifest.body.length);
    const { folder, name, shape, objects } = this.#staging;
    const keys = shape === "directory" ? [join(folder, name)] : [...objects.keys(), manifest.name].map((object) => join(folder, object));
    const taken = keys.find((key) => [...this.#medium.objects.keys()].some((known) => known === key || known.startsWith(`${key}/`)));
    if (taken !== undefined) throw createConflict(taken);
    objects.set(manifest.name, store(Buffer.from(manifest.body)));
    this.#staging.manifest = manifest.name;
    if (this.#medium.crash === "before") throw new HoldfastError("interrupted", "A crash before anything was visible");
    expose(this.#medium, this.#staging);
    if (this.#medium.crash === "after") throw new HoldfastError("interrupted", "A crash when everything was visible");
    this.#medium.stagings.delete(this.#id);
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed || this.#medium.crash !== undefined) return; // nobody closes anything after a crash
    this.#closed = true;
    this.#medium.stagings.delete(this.#id);
  }
}

function expose(medium: MemoryMedium, { folder, name, shape, objects }: Staging): void {
  const base = shape === "directory" ? join(folder, name) : folder;
  for (const [object, stored] of objects) medium.objects.set(join(base, object), stored);
}

async function* readStored(
  stored: Stored | undefined,
  key: string,
  range: ByteRange | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  assertNotAborted(signal);
  if (stored === undefined) throw new HoldfastError("backup-not-found", `There is no object ${key}`);
  const { offset, bytes } = range ?? { offset: 0, bytes: stored.body.length };
  if (offset + bytes > stored.body.length) throw new HoldfastError("backup-damaged", `${key} is too short`);
  for (let position = offset; position < offset + bytes; position += 1 << 20) {
    assertNotAborted(signal);
    yield stored.body.subarray(position, Math.min(position + (1 << 20), offset + bytes));
  }
}

function takeSpace(medium: MemoryMedium, bytes: number): void {
  if (bytes > medium.freeBytes) throw new HoldfastError("no-space", "There is no space left in memory");
  medium.freeBytes -= bytes;
}

function store(body: Buffer): Stored {
  return { body, modifiedAtMs: Date.now() };
}

function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

function createConflict(key: string): HoldfastError {
  return new HoldfastError("conflict", `There is a ${key} already`);
}

function createUnwritable(): HoldfastError {
  return new HoldfastError("destination-unwritable", "It is read-only");
}
