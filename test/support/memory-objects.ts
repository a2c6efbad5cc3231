import { HoldfastError } from "../../src/base/errors.ts";

/** Objects in memory, as a publication takes them and a destination gives them back. Chunks are given back in pieces of `chunkBytes`. */
export class MemoryObjects {
  readonly objects = new Map<string, Buffer>();
  readonly #chunkBytes: number;

  constructor(chunkBytes = 1 << 16) {
    this.#chunkBytes = chunkBytes;
  }

  async put(name: string, body: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: number }> {
    if (this.objects.has(name)) throw new HoldfastError("conflict", `There is an object ${name} already`);
    const chunks: Buffer[] = [];
    // Copied: a chunk may be used again by whoever gave it.
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    const whole = Buffer.concat(chunks);
    this.objects.set(name, whole);
    return { bytes: whole.length };
  }

  async *get(
    name: string,
    range: { readonly offset: number; readonly bytes: number } | undefined,
    _signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const whole = this.objects.get(name);
    if (whole === undefined) throw new HoldfastError("backup-not-found", `There is no object ${name}`);
    if (range !== undefined && range.offset + range.bytes > whole.length) throw new HoldfastError("backup-damaged", `${name} is too short`);
    const wanted = range === undefined ? whole : whole.subarray(range.offset, range.offset + range.bytes);
    for (let at = 0; at < wanted.length; at += this.#chunkBytes) yield await Promise.resolve(wanted.subarray(at, at + this.#chunkBytes));
  }

  stat(name: string): Promise<{ readonly bytes: number } | undefined> {
    const whole = this.objects.get(name);
    return Promise.resolve(whole === undefined ? undefined : { bytes: whole.length });
  }
}
