import { HoldfastError } from "../../base/errors.ts";

/** Reads exact amounts from a stream of chunks. Throws `backup-damaged` when the stream ends before. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    this.#rest =
      this.#rest.length === 0
        ? Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
        : Buffer.concat([this.#rest, next.value]);
    return true;
  }

  /** Up to this many bytes from here, which stay. */
  async peek(bytes: number): Promise<Buffer> {
    while (this.#rest.length < bytes) if (!(await this.#more())) break;
    return this.#rest.subarray(0, bytes);
  }

  async read(bytes: number): Promise<Buffer> {
    const found = await this.peek(bytes);
    if (found.length < bytes) throw new HoldfastError("backup-damaged", "it is cut");
    this.#rest = this.#rest.subarray(bytes);
    return found;
  }

  async readByte(): Promise<number> {
    return (await this.read(1))[0] ?? 0;
  }

  /** The given number of bytes in pieces, as they come. */
  async *stream(bytes: number): AsyncGenerator<Buffer, void, undefined> {
    for (let left = bytes; left > 0;) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new HoldfastError("backup-damaged", "it is cut");
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Everything that is left. */
  async *readAll(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      do {
        const piece = this.#rest;
        this.#rest = Buffer.alloc(0);
        if (piece.length > 0) yield piece;
      } while (await this.#more());
    } finally {
      await this.close();
    }
  }

  /** Ends whatever produces the chunks. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
