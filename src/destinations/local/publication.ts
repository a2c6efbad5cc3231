import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { ByteRange, Publication, PublicationShape } from "../contract.ts";
import { assertNotAborted } from "../interrupt.ts";
import { parseKey } from "../parse-key.ts";
import { hashBytes, writeDescriptor, type Descriptor, type Sealed } from "./descriptor.ts";
import { discard, expose, retract } from "./exposure.ts";
import { contentName, parseStagingName, stagingName } from "./names.ts";
import { readObject, writeObject } from "./object-file.ts";
import type { Place } from "./place.ts";

export interface PublicationPlan {
  /** Absolute path of the folder, which is there. */
  readonly folder: string;
  readonly name: string;
  readonly shape: PublicationShape;
  readonly id: string;
}

/** Makes the staging directory; `conflict` when the id has one already. */
export async function openLocalPublication(place: Place, plan: PublicationPlan): Promise<Publication> {
  const staging = join(plan.folder, stagingName(plan.id));
  if (parseStagingName(stagingName(plan.id)) === undefined)
    throw new HoldfastError("internal", `Bug: a publication's id must be letters and digits: ${plan.id}`);
  const doing = `begin the backup ${plan.name}`;
  await place.attempt(doing, () => makeStaging(staging, plan));
  try {
    await place.attempt(doing, async () => {
      await mkdir(join(staging, contentName), { mode: 0o700 });
      await place.dressDirectory(join(staging, contentName));
      await writeDescriptor(staging, { format: 1, id: plan.id, name: plan.name, shape: plan.shape, sealed: null });
      await syncDirectory(plan.folder);
    });
  } catch (error) {
    await discard(staging).catch(() => undefined); // recover() finds it again
    throw error;
  }
  return new LocalPublication(place, plan, staging);
}

async function makeStaging(staging: string, plan: PublicationPlan): Promise<void> {
  try {
    await mkdir(staging, { mode: 0o700 });
  } catch (error) {
    if (readErrno(error) !== "EEXIST") throw error;
    throw new HoldfastError("conflict", `A backup with the id ${plan.id} is being made already`, { cause: error });
  }
}

class LocalPublication implements Publication {
  readonly #place: Place;
  readonly #plan: PublicationPlan;
  readonly #staging: string;
  readonly #content: string;
  readonly #objects: { readonly name: string; readonly bytes: number }[] = [];
  /** Folders inside the content, each after its parent. */
  readonly #folders = new Set<string>();
  #first: string | undefined;
  #sealed: Sealed | undefined;
  #state: "open" | "published" | "closed" = "open";

  constructor(place: Place, plan: PublicationPlan, staging: string) {
    this.#place = place;
    this.#plan = plan;
    this.#staging = staging;
    this.#content = join(staging, contentName);
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<{ readonly bytes: number }> {
    this.#assertOpen();
    assertNotAborted(signal);
    this.#checkName(name);
    this.#first ??= name;
    if (this.#plan.shape === "beside" && this.#first !== this.#plan.name) {
      throw new HoldfastError("internal", `Bug: the first object of the backup ${this.#plan.name} is named ${this.#first}`);
    }
    await this.#makeFolders(name);
    const bytes = await writeObject(this.#place, join(this.#content, name), body, signal);
    this.#objects.push({ name, bytes });
    return { bytes };
  }

  get(name: string, range: ByteRange | undefined, signal: AbortSignal): AsyncIterable<Uint8Array> {
    this.#assertOpen();
    this.#checkName(name);
    return readObject(this.#place, join(this.#content, name), name, range, signal);
  }

  async publish(manifest: { readonly name: string; readonly body: Uint8Array }, signal: AbortSignal): Promise<void> {
    this.#assertOpen();
    if (this.#sealed !== undefined) throw new HoldfastError("internal", "Bug: published twice");
    this.#checkName(manifest.name);
    await this.#makeFolders(manifest.name);
    await writeObject(this.#place, join(this.#content, manifest.name), once(manifest.body), signal);
    const sealed: Sealed = {
      objects: [...this.#objects],
      manifest: { name: manifest.name, bytes: manifest.body.length, sha256: hashBytes(manifest.body) },
    };
    const descriptor = this.#describe(sealed);
    await this.#place.attempt(`publish the backup ${this.#plan.name}`, async () => {
      for (const folder of [...this.#folders].toReversed()) await syncDirectory(folder);
      await syncDirectory(this.#content);
      assertNotAborted(signal);
      this.#sealed = sealed;
      await writeDescriptor(this.#staging, descriptor);
      await expose({ place: this.#place, folder: this.#plan.folder, staging: this.#staging, descriptor });
    });
    this.#state = "published";
    await discard(this.#staging).catch(() => undefined); // everything is visible and durable; recover() sweeps what is left
  }

  /** Never throws: what cannot be removed now is hidden, and recover() removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closed";
    try {
      if (this.#sealed !== undefined) {
        await retract({ place: this.#place, folder: this.#plan.folder, staging: this.#staging, descriptor: this.#describe(this.#sealed) });
      }
      await discard(this.#staging);
    } catch {
      // recover() mends it
    }
  }

  #describe(sealed: Sealed): Descriptor & { readonly sealed: Sealed } {
    const { id, name, shape } = this.#plan;
    return { format: 1, id, name, shape, sealed };
  }

  #assertOpen(): void {
    if (this.#state !== "open") throw new HoldfastError("internal", `Bug: the publication is ${this.#state}`);
  }

  #checkName(name: string): void {
    const components = parseKey(name);
    if (components.length === 0 || (this.#plan.shape === "beside" && components.length > 1)) {
      throw new HoldfastError("usage", `Not a name for an object of a backup: ${JSON.stringify(name)}`);
    }
  }

  async #makeFolders(name: string): Promise<void> {
    let path = this.#content;
    for (const component of parseKey(dirname(name) === "." ? "" : dirname(name))) {
      path = join(path, component);
      await this.#place.ensureDirectory(path);
      this.#folders.add(path);
    }
  }
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield body;
}
