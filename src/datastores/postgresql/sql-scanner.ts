import { createHash, type Hash } from "node:crypto";

/** A part of a dump: bytes from its beginning, the last one excluded. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What a dump in SQL consists of, told in its order. Must not throw, except to refuse the dump. */
export interface SqlListener {
  /** A statement without its semicolon; the span has that too. `text` is its beginning, whole where it is short; the hash is of all of it. */
  onStatement(text: string, sha256: string, span: Span): void;
  /** A line of psql's, from its backslash; the span has its line break too. */
  onCommand(line: string, span: Span): void;
  /** A comment line between statements, with its dashes. */
  onComment(line: string): void;
  /** A `COPY … FROM stdin`; after the span, which has the line break too, its rows begin. */
  onCopy?(copy: string, span: Span): void;
  /** The rows of a `COPY … FROM stdin`, when its end mark, the span, has been read. */
  onRows(copy: string, rows: number, span: Span): void;
}

/** How much of a statement is kept: more than any definition that is looked into. */
const keptBytes = 256 * 1024;
const newline = 0x0a;
const isSpace = (byte: number): boolean => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
const isWord = (byte: number): boolean =>
  byte >= 0x80 ||
  byte === 0x5f ||
  byte === 0x24 ||
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a);

type Mode = "between" | "line" | "plain" | "quoted" | "escaped" | "name" | "comment" | "block" | "dollar" | "rows";

/**
 * Reads what pg_dump, pg_dumpall and pg_restore write as SQL, in a streaming way: quotes, dollar quotes and comments are followed, so that a
 * function that has `COPY x FROM stdin;` in its text is not taken for rows. Memory does not grow with the dump.
 */
export class SqlScanner {
  readonly #listener: SqlListener;
  #mode: Mode = "between";
  #line: number[] = [];
  #statement: Statement | undefined;
  /** The last byte of the statement: what a quote means depends on it. */
  #previous = 0;
  #beforePrevious = 0;
  #atLineStart = true;
  /** Of comments within comments. */
  #depth = 0;
  /** A `$` has been read that may begin a dollar quote. */
  #opening = false;
  #tag = "";
  #tagSeen = "";
  #backslashEscapes = false;
  #skipNext = false;
  #copy = "";
  #rows = 0;
  #carry = Buffer.alloc(0) as Buffer;
  /** Where the bytes begin that are being read, and where the statement or the line does that has not ended. */
  #base = 0;
  #begin = 0;

  constructor(listener: SqlListener) {
    this.#listener = listener;
  }

  push(chunk: Uint8Array): void {
    const bytes =
      this.#carry.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : Buffer.concat([this.#carry, chunk]);
    this.#carry = Buffer.alloc(0);
    let at = 0;
    while (at < bytes.length) at = this.#mode === "rows" ? this.#readRows(bytes, at) : this.#readText(bytes, at);
    this.#base += bytes.length - this.#carry.length;
  }

  /** So far, in bytes from the beginning, everything has been told: what follows may be the beginning of something. */
  get told(): number {
    const isOpen = this.#mode !== "between" && !(this.#mode === "rows" && this.#rows >= 0);
    return isOpen ? this.#begin : this.#base;
  }

  /** Tells whether the text ended between two statements. */
  finish(): "whole" | "cut" {
    if (this.#mode === "line") this.#endLine(this.#base);
    return this.#mode === "between" && this.#carry.length === 0 ? "whole" : "cut";
  }

  /** Rows up to the end mark, which stands at the beginning of a line. */
  #readRows(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length) {
      if (this.#atLineStart && bytes[at] === 0x5c) {
        if (bytes.length - at < 3) {
          this.#carry = Buffer.from(bytes.subarray(at));
          return bytes.length;
        }
        if (bytes[at + 1] === 0x2e && bytes[at + 2] === newline) {
          this.#listener.onRows(this.#copy, this.#rows, { from: this.#base + at, to: this.#base + at + 3 });
          this.#mode = "between";
          this.#atLineStart = true;
          return at + 3;
        }
      }
      const end = bytes.indexOf(newline, at);
      this.#atLineStart = end !== -1;
      if (end === -1) return bytes.length;
      if (this.#rows === -1) this.#listener.onCopy?.(this.#copy, { from: this.#begin, to: this.#base + end + 1 });
      this.#rows += 1;
      at = end + 1;
    }
    return at;
  }

  /** Statements, until rows begin or the bytes end. */
  #readText(bytes: Buffer, from: number): number {
    let statementFrom = from;
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      if (this.#mode === "between" || this.#mode === "line") {
        if (this.#readBetween(byte, this.#base + at)) statementFrom = at;
      } else if (this.#readStatement(byte)) {
        this.#statement?.add(bytes.subarray(statementFrom, at));
        this.#endStatement(this.#base + at + 1);
        if (this.#isCopy()) return this.#beginRows(at + 1);
      }
    }
    if (this.#mode !== "between" && this.#mode !== "line") this.#statement?.add(bytes.subarray(statementFrom));
    return bytes.length;
  }

  #isCopy(): boolean {
    return this.#copy !== "";
  }

  /** The line break after the semicolon is no row. */
  #beginRows(at: number): number {
    this.#mode = "rows";
    this.#rows = -1;
    this.#atLineStart = false;
    return at;
  }

  /** True when a statement begins with this byte. */
  #readBetween(byte: number, at: number): boolean {
    if (this.#mode === "line") {
      if (byte === newline) this.#endLine(at + 1);
      else if (this.#line.length < keptBytes) this.#line.push(byte);
      return false;
    }
    if (isSpace(byte)) return false;
    if (byte === 0x5c || byte === 0x2d) {
      this.#mode = "line";
      this.#line = [byte];
      this.#begin = at;
      return false;
    }
    this.#statement = new Statement();
    this.#begin = at;
    this.#mode = "plain";
    this.#previous = 0;
    this.#beforePrevious = 0;
    this.#opening = false;
    this.#readPlain(byte);
    return true;
  }

  #endLine(to: number): void {
    const line = Buffer.from(this.#line).toString("utf8");
    this.#line = [];
    this.#mode = "between";
    if (line.startsWith("\\")) this.#listener.onCommand(line, { from: this.#begin, to });
    else this.#listener.onComment(line);
  }

  /** True at the semicolon that ends the statement. */
  #readStatement(byte: number): boolean {
    switch (this.#mode) {
      case "plain":
        return this.#readPlain(byte);
      case "quoted":
        if (byte === 0x27) this.#mode = "plain";
        break;
      case "escaped":
        if (this.#skipNext) this.#skipNext = false;
        else if (byte === 0x5c) this.#skipNext = true;
        else if (byte === 0x27) this.#mode = "plain";
        break;
      case "name":
        if (byte === 0x22) this.#mode = "plain";
        break;
      case "comment":
        if (byte === newline) this.#mode = "plain";
        break;
      case "block":
        if (this.#previous === 0x2a && byte === 0x2f) {
          this.#depth -= 1;
          if (this.#depth === 0) this.#mode = "plain";
          this.#previous = 0;
          return false;
        }
        if (this.#previous === 0x2f && byte === 0x2a) this.#depth += 1;
        break;
      case "dollar":
        this.#tagSeen = (this.#tagSeen + String.fromCharCode(byte)).slice(-this.#tag.length);
        if (this.#tagSeen === this.#tag) this.#mode = "plain";
        break;
      default:
    }
    this.#previous = byte;
    return false;
  }

  #readPlain(byte: number): boolean {
    const previous = this.#previous;
    const isEscape = (previous === 0x45 || previous === 0x65) && !isWord(this.#beforePrevious);
    this.#beforePrevious = previous;
    this.#previous = byte;
    if (byte === 0x24 && this.#opening) {
      this.#opening = false;
      this.#tag += "$";
      this.#tagSeen = "";
      this.#mode = "dollar";
      return false;
    }
    // A tag does not begin with a digit: `$1` is a parameter.
    if (this.#opening && isWord(byte) && byte !== 0x24 && !(this.#tag === "$" && byte >= 0x30 && byte <= 0x39)) {
      this.#tag += String.fromCharCode(byte);
      return false;
    }
    this.#opening = false;
    if (byte === 0x24 && !isWord(previous)) {
      this.#opening = true;
      this.#tag = "$";
    } else if (byte === 0x27) {
      this.#mode = this.#backslashEscapes || isEscape ? "escaped" : "quoted";
      this.#skipNext = false;
    } else if (byte === 0x22) this.#mode = "name";
    else if (byte === 0x2d && previous === 0x2d) this.#mode = "comment";
    else if (byte === 0x2a && previous === 0x2f) {
      this.#mode = "block";
      this.#depth = 1;
      this.#previous = 0;
    }
    return byte === 0x3b;
  }

  #endStatement(to: number): void {
    const { text, sha256 } = this.#statement?.end() ?? { text: "", sha256: "" };
    this.#statement = undefined;
    this.#mode = "between";
    this.#copy = /^COPY .* FROM stdin$/s.test(text) ? text : "";
    if (/^SET standard_conforming_strings = (on|off)$/.test(text)) this.#backslashEscapes = text.endsWith("off");
    if (this.#copy === "") this.#listener.onStatement(text, sha256, { from: this.#begin, to });
  }
}

/** Keeps the beginning of a statement and hashes all of it. */
class Statement {
  readonly #parts: Buffer[] = [];
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;

  add(part: Buffer): void {
    this.#hash.update(part);
    if (this.#bytes < keptBytes && part.length > 0) this.#parts.push(Buffer.from(part.subarray(0, keptBytes - this.#bytes)));
    this.#bytes += part.length;
  }

  end(): { readonly text: string; readonly sha256: string } {
    return { text: Buffer.concat(this.#parts).toString("utf8"), sha256: this.#hash.digest("hex") };
  }
}
