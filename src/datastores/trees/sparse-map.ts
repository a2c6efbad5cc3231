import type { ContentHasher } from "./content-hash.ts";
import { failFormat, findPadding } from "./tar-header.ts";

const mapLimitEntries = 1_000_000;

/** The map that GNU tar puts before the data of a sparse file: decimal lines `count`, then `offset` and `bytes` of each piece, padded. */
export class SparseMap {
  readonly #fileBytes: number;
  readonly #numbers: number[] = [];
  #digits = "";
  #mapBytes = 0;
  #padding: number | undefined;
  #piece = 0;
  #pieceLeft = 0;
  #offset = 0;

  constructor(fileBytes: number) {
    this.#fileBytes = fileBytes;
  }

  push(bytes: Buffer, hasher: ContentHasher): void {
    let at = 0;
    while (this.#padding === undefined && at < bytes.length) {
      this.#readMap(bytes[at] ?? 0);
      at += 1;
    }
    const skip = Math.min(this.#padding ?? 0, bytes.length - at);
    this.#padding = this.#padding === undefined ? undefined : this.#padding - skip;
    at += skip;
    while (at < bytes.length) {
      if (this.#pieceLeft === 0) this.#nextPiece(hasher);
      const take = Math.min(this.#pieceLeft, bytes.length - at);
      hasher.update(bytes.subarray(at, at + take));
      this.#offset += take;
      this.#pieceLeft -= take;
      at += take;
    }
  }

  end(hasher: ContentHasher): void {
    if (this.#padding !== 0 || this.#pieceLeft > 0 || this.#fileBytes < this.#offset) throw failFormat("a sparse member is malformed");
    hasher.skipZeros(this.#fileBytes - this.#offset);
  }

  #readMap(byte: number): void {
    this.#mapBytes += 1;
    if (byte !== 0x0a) {
      this.#digits += String.fromCodePoint(byte);
      if (!/^\d{1,15}$/.test(this.#digits)) throw failFormat("a sparse member is malformed");
      return;
    }
    this.#numbers.push(Number(this.#digits));
    this.#digits = "";
    const count = this.#numbers[0] ?? 0;
    if (count > mapLimitEntries) throw failFormat("a sparse member has too many pieces");
    if (this.#numbers.length === 1 + 2 * count) this.#padding = findPadding(this.#mapBytes);
  }

  #nextPiece(hasher: ContentHasher): void {
    let start = 0;
    do {
      const index = 1 + 2 * this.#piece;
      if (index >= this.#numbers.length) throw failFormat("a sparse member is malformed");
      start = this.#numbers[index] ?? 0;
      this.#pieceLeft = this.#numbers[index + 1] ?? 0;
      this.#piece += 1;
    } while (this.#pieceLeft === 0);
    if (start < this.#offset || start + this.#pieceLeft > this.#fileBytes) throw failFormat("a sparse member is malformed");
    hasher.skipZeros(start - this.#offset);
    this.#offset = start;
  }
}
