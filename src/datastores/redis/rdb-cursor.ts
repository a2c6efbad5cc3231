import { emptyCrc64, updateCrc64, type Crc64 } from "./crc64.ts";

/** What a parser yields when it needs more bytes than there are. */
export type NeedsMore = undefined;

/** How a value is stored: as one string, or as a number and so many strings, pairs of them, or nodes of a list (a number and a string). */
export type ValueShape = "string" | "strings" | "pairs" | "nodes";

/**
 * A place in a stream of bytes, for parsers that are generators: they yield when they need the next chunk, so that they cost nothing while
 * there is enough. Memory stays flat: only what is read as a value is kept, what is skipped is summed and forgotten.
 */
export class RdbCursor {
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  #summedTo = 0;
  #crc = emptyCrc64;
  #ended = false;
  #before = 0;
  #headBytes = 0;

  /** Where the next byte stands in the stream. */
  get offset(): number {
    return this.#before + this.#at;
  }

  /** The CRC-64 of all bytes that have been passed. */
  get crc(): Crc64 {
    this.#sum();
    return this.#crc;
  }

  push(bytes: Uint8Array): void {
    this.#sum();
    const next = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const rest = this.#chunk.subarray(this.#at);
    this.#before += this.#at;
    this.#chunk = rest.length === 0 ? next : Buffer.concat([rest, next]);
    this.#at = 0;
    this.#summedTo = 0;
  }

  end(): void {
    this.#ended = true;
  }

  #sum(): void {
    this.#crc = updateCrc64(this.#crc, this.#chunk, this.#summedTo, this.#at);
    this.#summedTo = this.#at;
  }

  /** Waits until there are so many bytes. Only for few: they are copied together. @throws RdbEndedError */
  *#fill(bytes: number): Generator<NeedsMore, void, void> {
    while (this.#chunk.length - this.#at < bytes) {
      if (this.#ended) throw new RdbEndedError(this.#before + this.#chunk.length);
      yield;
    }
  }

  *readByte(): Generator<NeedsMore, number, void> {
    if (this.#chunk.length === this.#at) yield* this.#fill(1);
    const byte = this.#chunk.readUInt8(this.#at);
    this.#at += 1;
    return byte;
  }

  /** A view that is valid until the next read. */
  *readBytes(bytes: number): Generator<NeedsMore, Buffer, void> {
    if (this.#chunk.length - this.#at < bytes) {
      if (bytes > smallBytes) return yield* this.#collect(bytes);
      yield* this.#fill(bytes);
    }
    this.#at += bytes;
    return this.#chunk.subarray(this.#at - bytes, this.#at);
  }

  *#collect(bytes: number): Generator<NeedsMore, Buffer, void> {
    const parts: Buffer[] = [];
    let missing = bytes;
    while (missing > 0) {
      yield* this.#fill(1);
      const part = Buffer.from(this.#chunk.subarray(this.#at, this.#at + missing));
      this.#at += part.length;
      missing -= part.length;
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  /** The next byte without waiting; undefined when there is none yet. */
  takeByte(): number | undefined {
    const byte = this.#chunk[this.#at];
    if (byte !== undefined) this.#at += 1;
    return byte;
  }

  /**
   * The length that begins at a place; how many bytes tell it is left in `#headBytes`. -1 when it is not all there, or is none of these.
   * Almost all strings are in the chunk, and a generator for each would cost ten times what it reads.
   */
  #peekLength(at: number): number {
    const first = this.#chunk[at] ?? 0xff;
    this.#headBytes = 1;
    if (first < 0x40) return first;
    this.#headBytes = 2;
    if (first < 0x80) return at + 1 < this.#chunk.length ? ((first & 63) << 8) | (this.#chunk[at + 1] ?? 0) : -1;
    this.#headBytes = 5;
    return first === 0x80 && at + 5 <= this.#chunk.length ? this.#chunk.readUInt32BE(at + 1) : -1;
  }

  /** A string that is stored as it is, without waiting, as a view; undefined, and nothing is passed, for any other. */
  takeString(): Buffer | undefined {
    const bytes = this.#peekLength(this.#at);
    const from = this.#at + this.#headBytes;
    if (bytes < 0 || from + bytes > this.#chunk.length) return undefined;
    this.#at = from + bytes;
    return this.#chunk.subarray(from, this.#at);
  }

  /** Passes a string without waiting; false, and nothing is passed, when it is not all there. */
  skipString(): boolean {
    const to = this.#peekStringEnd();
    if (to < 0 || to > this.#chunk.length) return false;
    this.#at = to;
    return true;
  }

  #peekStringEnd(): number {
    const first = this.#chunk[this.#at] ?? 0xff;
    // Integers of 1, 2 and 4 bytes.
    if (first >= 0xc0 && first <= 0xc2) return this.#at + 1 + (1 << (first & 3));
    if (first === compressedString) {
      const packed = this.#peekLength(this.#at + 1);
      const next = this.#at + 1 + this.#headBytes;
      return packed < 0 || this.#peekLength(next) < 0 ? -1 : next + this.#headBytes + packed;
    }
    const bytes = this.#peekLength(this.#at);
    return bytes < 0 ? -1 : this.#at + this.#headBytes + bytes;
  }

  /** The bytes that the last `takeKey` has passed: those of the name stand from `nameFrom` up to before `nameTo`. Valid until the next push. */
  get bytes(): Uint8Array {
    return this.#chunk;
  }

  nameFrom = 0;
  nameTo = 0;

  /**
   * Passes the name and the value of a key without waiting; false, and nothing is passed, when they are not all there, or the name is not
   * stored as it is.
   */
  takeKey(shape: ValueShape): boolean {
    const before = this.#at;
    const nameBytes = this.#peekLength(before);
    this.nameFrom = before + this.#headBytes;
    this.nameTo = this.nameFrom + nameBytes;
    if (nameBytes >= 0 && this.nameTo <= this.#chunk.length) {
      this.#at = this.nameTo;
      if (this.#skipShape(shape)) return true;
      this.#at = before;
    }
    return false;
  }

  #skipShape(shape: ValueShape): boolean {
    if (shape === "string") return this.skipString();
    const count = this.#takeLength();
    const strings = shape === "pairs" ? 2 * count : count;
    for (let index = 0; index < strings; index += 1) {
      if (shape === "nodes" && this.#takeLength() < 0) return false;
      if (!this.skipString()) return false;
    }
    return count >= 0;
  }

  #takeLength(): number {
    const length = this.#peekLength(this.#at);
    if (length >= 0) this.#at += this.#headBytes;
    return length;
  }

  *skip(bytes: number): Generator<NeedsMore, void, void> {
    let missing = bytes;
    for (;;) {
      const step = Math.min(missing, this.#chunk.length - this.#at);
      this.#at += step;
      missing -= step;
      if (missing === 0) return;
      yield* this.#fill(1);
    }
  }

  /** Passes everything up to the end of the stream. */
  *skipAll(): Generator<NeedsMore, void, void> {
    for (;;) {
      this.#at = this.#chunk.length;
      if (this.#ended) return;
      yield;
    }
  }

  get isAtEnd(): boolean {
    return this.#ended && this.#at === this.#chunk.length;
  }

  *waitForEnd(): Generator<NeedsMore, boolean, void> {
    while (!this.#ended && this.#at === this.#chunk.length) yield;
    return this.isAtEnd;
  }
}

const compressedString = 0xc3;

/** Chunks are joined to read a value of up to this size, else it is collected piece by piece. */
const smallBytes = 4096;

/** The stream ended where more had to come. */
export class RdbEndedError extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super(`it ends after ${offset} bytes, in the middle`);
    this.offset = offset;
  }
}
