import { unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError } from "../../base/errors.ts";
import { findOwner } from "../../base/find-owner.ts";
import type { ByteRange, Destination, DestinationFacts, ObjectFacts, Publication, PublicationShape, Recovered } from "../contract.ts";
import { defineDestination } from "../define-destination.ts";
import { assertNotAborted } from "../interrupt.ts";
import { parseKey } from "../parse-key.ts";
import { appendLines } from "./append.ts";
import { readDescriptor } from "./descriptor.ts";
import { discard } from "./exposure.ts";
import { requireMarker, writeMarker } from "./marker.ts";
import { parseStagingName } from "./names.ts";
import { readObject } from "./object-file.ts";
import { localOptions } from "./options.ts";
import { lookUp, Place } from "./place.ts";
import { probePlace } from "./probe.ts";
import { openLocalPublication } from "./publication.ts";
import { awaitAnswer } from "./await-answer.ts";
import { recoverPlace } from "./recover.ts";
import { describeObject, listNames, walkVisible } from "./walk.ts";

/** A directory on this machine, or one that is mounted on it. Opening looks at nothing: the directory may be absent. */
export const localDestination = defineDestination({
  kind: "local",
  description: "a directory of this machine: a disk, or a mounted share",
  options: localOptions,
  async open(options, { name }) {
    const owner = options.owner === undefined ? undefined : await findOwner(options.owner);
    const directoryMode = Number.parseInt(options.directoryMode, 8);
    const fileMode = Number.parseInt(options.fileMode, 8);
    return new LocalDestination(new Place({ name, root: options.path, directoryMode, fileMode, owner }));
  },
});

class LocalDestination implements Destination {
  readonly kind = "local";
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  get name(): string {
    return this.#place.settings.name;
  }

  async probe(signal: AbortSignal): Promise<DestinationFacts> {
    assertNotAborted(signal);
    return await probePlace(this.#place, signal);
  }

  async identify(signal: AbortSignal): Promise<string> {
    assertNotAborted(signal);
    await awaitAnswer(this.#place, signal);
    return (await requireMarker(this.#place)).id;
  }

  async openPublication(folder: string, name: string, shape: PublicationShape, id: string, signal: AbortSignal): Promise<Publication> {
    assertNotAborted(signal);
    const key = folder === "" ? name : `${folder}/${name}`;
    if (parseKey(name).length !== 1) throw new HoldfastError("usage", `Not a name for a backup: ${JSON.stringify(name)}`);
    await requireMarker(this.#place);
    const path = await this.#place.ensureFolder(folder);
    if (await this.exists(key, signal)) throw new HoldfastError("conflict", `There is a ${key} in ${this.#place.describe()} already`);
    return await openLocalPublication(this.#place, { folder: path, name, shape, id });
  }

  async exists(key: string, signal: AbortSignal): Promise<boolean> {
    assertNotAborted(signal);
    const path = this.#place.pathOf(key);
    return await this.#place.attempt(`look for ${key}`, async () => {
      if ((await lookUp(path)) !== undefined) return true;
      await this.#place.requireRoot();
      const name = parseKey(key).at(-1);
      for (const entry of await listNames(dirname(path))) {
        if (parseStagingName(entry) === undefined) continue;
        if ((await readDescriptor(join(dirname(path), entry)))?.name === name) return true;
      }
      return false;
    });
  }

  get(key: string, range: ByteRange | undefined, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return readObject(this.#place, this.#place.pathOf(key), key, range, signal);
  }

  async stat(key: string, signal: AbortSignal): Promise<ObjectFacts | undefined> {
    assertNotAborted(signal);
    const found = await this.#place.attempt(`look for ${key}`, () => lookUp(this.#place.pathOf(key)));
    if (found === undefined) await this.#place.requireRoot();
    return found?.isFile() === true ? describeObject(key, found) : undefined;
  }

  async *list(folder: string, signal: AbortSignal): AsyncGenerator<ObjectFacts, void, undefined> {
    for await (const { key, stats } of walkVisible(this.#place, folder, signal)) if (stats.isFile()) yield describeObject(key, stats);
  }

  async append(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    assertNotAborted(signal);
    const components = parseKey(key);
    if (components.length === 0 || bytes.at(-1) !== 0x0a)
      throw new HoldfastError("internal", `Bug: only whole lines can be appended, to an object: ${JSON.stringify(key)}`);
    await requireMarker(this.#place);
    await this.#place.ensureFolder(components.slice(0, -1).join("/"));
    await this.#place.attempt(`append to ${key}`, () => appendLines(this.#place, this.#place.pathOf(key), bytes));
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    assertNotAborted(signal);
    if (parseKey(key).length === 0) throw new HoldfastError("usage", "The destination itself cannot be removed");
    await requireMarker(this.#place);
    await this.#place.attempt(`remove ${key}`, async () => {
      if (!(await this.#place.checkFolders(key))) return;
      const path = this.#place.pathOf(key);
      const found = await lookUp(path);
      if (found?.isDirectory() === true) return await discard(path);
      if (found !== undefined) await unlink(path);
      await syncDirectory(dirname(path));
    });
  }

  async recover(isActive: (id: string) => boolean, signal: AbortSignal): Promise<readonly Recovered[]> {
    assertNotAborted(signal);
    await requireMarker(this.#place);
    return await recoverPlace(this.#place, isActive, signal);
  }

  async initialize(mode: "init" | "adopt", signal: AbortSignal): Promise<void> {
    assertNotAborted(signal);
    await writeMarker(this.#place, mode);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // holds nothing open
  }
}
