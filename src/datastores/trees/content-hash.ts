import { createHash } from "node:crypto";

/** Zeros are looked for in aligned pieces of this size. */
const pieceBytes = 1024 * 1024;
const zeros = Buffer.alloc(pieceBytes);

export interface ContentHash {
  /** Lower-case hex. */
  readonly digest: string;
  /** False when whole pieces of zeros were folded: then the digest is no plain SHA-256 of the file. */
  readonly plain: boolean;
}

/**
 * Hashes a file so that holes cost nothing and their layout does not matter: every run of aligned 1 MiB pieces that hold only zeros
 * is hashed as the text `holdfast zeros <offset> <bytes>\n`, all else as it is. A file without such a piece has its plain SHA-256.
 */
export class ContentHasher {
  readonly #hash = createHash("sha256");
  #offset = 0;
  /** Zeros seen since the piece began; -1 once the piece has anything else. */
  #zerosInPiece = 0;
  #runStart = -1;
  #plain = true;

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const take = Math.min(bytes.length - at, pieceBytes - (this.#offset % pieceBytes));
      this.#take(bytes.subarray(at, at + take));
      at += take;
    }
  }

  /** The same as update with this many zeros. */
  skipZeros(bytes: number): void {
    let left = bytes;
    while (left > 0) {
      const inPiece = this.#offset % pieceBytes;
      if (inPiece === 0 && left >= pieceBytes) {
        const whole = left - (left % pieceBytes);
        this.#beginRun();
        this.#offset += whole;
        left -= whole;
      } else {
        const take = Math.min(left, pieceBytes - inPiece);
        this.#take(zeros.subarray(0, take));
        left -= take;
      }
    }
  }

  finish(): ContentHash {
    this.#endRun(this.#offset - Math.max(this.#zerosInPiece, 0));
    if (this.#zerosInPiece > 0) this.#hash.update(zeros.subarray(0, this.#zerosInPiece));
    return { digest: this.#hash.digest("hex"), plain: this.#plain };
  }

  #take(part: Uint8Array): void {
    if (this.#zerosInPiece >= 0 && zeros.compare(part, 0, part.length, 0, part.length) === 0) this.#zerosInPiece += part.length;
    else {
      if (this.#zerosInPiece >= 0) this.#endRun(this.#offset - this.#zerosInPiece);
      if (this.#zerosInPiece > 0) this.#hash.update(zeros.subarray(0, this.#zerosInPiece));
      this.#zerosInPiece = -1;
      this.#hash.update(part);
    }
    this.#offset += part.length;
    if (this.#offset % pieceBytes !== 0) return;
    if (this.#zerosInPiece === pieceBytes) this.#beginRun(this.#offset - pieceBytes);
    this.#zerosInPiece = 0;
  }

  #beginRun(at = this.#offset): void {
    if (this.#runStart === -1) this.#runStart = at;
  }

  #endRun(end: number): void {
    if (this.#runStart === -1) return;
    this.#hash.update(`holdfast zeros ${this.#runStart} ${end - this.#runStart}\n`);
    this.#runStart = -1;
    this.#plain = false;
  }
}
