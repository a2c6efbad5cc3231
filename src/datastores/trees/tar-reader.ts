import { type ContentHash, ContentHasher } from "./content-hash.ts";
import { SparseMap } from "./sparse-map.ts";
import {
  blockBytes,
  failFormat,
  findPadding,
  isEndBlock,
  type MemberHeader,
  parseMemberHeader,
  parsePaxRecords,
  type PaxRecords,
  readStoredSize,
  readTypeFlag,
} from "./tar-header.ts";

const paxLimitBytes = 1024 * 1024;

/** What becomes of a member in the copy that `push` gives back. */
export type MemberFate = "keep" | "drop" | "clear-set-id";

export interface MemberListener {
  /** Called before any byte of the member is passed on. Throws to refuse the archive. */
  header(header: MemberHeader): MemberFate;
  /** Called when the member's content has been read; `content` is there for regular files only. */
  end(header: MemberHeader, content: ContentHash | undefined): void;
}

type State =
  | { readonly at: "header" }
  | { readonly at: "pax"; left: number; readonly parts: Buffer[]; padding: number }
  | {
      readonly at: "data";
      readonly header: MemberHeader;
      readonly hasher: ContentHasher | undefined;
      map: SparseMap | undefined;
      left: number;
      padding: number;
      readonly kept: boolean;
    }
  | { readonly at: "padding"; left: number; readonly kept: boolean }
  | { readonly at: "end" };

/**
 * Reads a POSIX tar as GNU tar writes it (pax headers, sparse files in format 1.0) piece by piece, to its very end, in memory that
 * does not grow with it. What `push` returns may be handed to an extractor: every header in it has passed the listener before.
 */
export class TarReader {
  readonly #listener: MemberListener;
  readonly #contents: "hash" | "pass";
  #state: State = { at: "header" };
  #block: Buffer = Buffer.alloc(0);
  #pax: PaxRecords = new Map();
  #held: Buffer[] = [];
  #endBlocks = 0;
  #bytes = 0;

  /** @param contents `pass`: the listener gets no hashes of files, but for sparse ones */
  constructor(listener: MemberListener, contents: "hash" | "pass") {
    this.#listener = listener;
    this.#contents = contents;
  }

  /** Bytes read so far. */
  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): readonly Buffer[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const passed: Buffer[] = [];
    for (let at = 0; at < bytes.length;) at += this.#step(bytes.subarray(at), passed);
    this.#bytes += bytes.length;
    return passed;
  }

  /** To be called at the end of the archive. Throws when it ends early. */
  end(): void {
    if (this.#state.at !== "end" || this.#endBlocks < 2) throw failFormat("it ends early");
    if (this.#bytes % blockBytes !== 0) throw failFormat("bytes follow its end");
  }

  #step(bytes: Buffer, passed: Buffer[]): number {
    switch (this.#state.at) {
      case "header":
        return this.#fillBlock(bytes, passed);
      case "pax":
        return this.#readPax(bytes, this.#state);
      case "data":
        return this.#readData(bytes, this.#state, passed);
      case "padding":
        return this.#skipPadding(bytes, this.#state, passed);
      case "end":
        if (bytes.some((byte) => byte !== 0)) throw failFormat("bytes follow its end");
        this.#endBlocks += bytes.length / blockBytes;
        passed.push(bytes);
        return bytes.length;
    }
  }

  #fillBlock(bytes: Buffer, passed: Buffer[]): number {
    const take = Math.min(bytes.length, blockBytes - this.#block.length);
    this.#block = this.#block.length === 0 ? bytes.subarray(0, take) : Buffer.concat([this.#block, bytes.subarray(0, take)]);
    if (this.#block.length < blockBytes) {
      this.#block = Buffer.from(this.#block);
      return take;
    }
    const block = Buffer.from(this.#block);
    this.#block = Buffer.alloc(0);
    this.#held.push(block);
    if (isEndBlock(block)) {
      if (this.#pax.size > 0) throw failFormat("an extended header has no member");
      this.#endBlocks = 1;
      this.#state = { at: "end" };
      passed.push(...this.#held.splice(0));
    } else this.#beginMember(block, passed);
    return take;
  }

  #beginMember(block: Buffer, passed: Buffer[]): void {
    if (readTypeFlag(block) === "x") {
      const left = readStoredSize(block);
      if (left === 0 || left > paxLimitBytes || this.#pax.size > 0) throw failFormat("an extended header is empty, too large or doubled");
      this.#state = { at: "pax", left, parts: [], padding: findPadding(left) };
      return;
    }
    const header = parseMemberHeader(block, this.#pax);
    this.#pax = new Map();
    const fate = this.#listener.header(header);
    const held = this.#held.splice(0);
    if (fate === "clear-set-id") held[held.length - 1] = clearSetId(block, header.mode);
    if (fate !== "drop") passed.push(...held);
    const state: State = {
      at: "data",
      header,
      hasher: this.#contents === "hash" || header.sparse ? new ContentHasher() : undefined,
      map: header.sparse ? new SparseMap(header.bytes) : undefined,
      left: header.storedBytes,
      padding: findPadding(header.storedBytes),
      kept: fate !== "drop",
    };
    this.#state = state;
    if (state.left === 0) this.#endMember(state);
  }

  #readPax(bytes: Buffer, state: Extract<State, { at: "pax" }>): number {
    const take = Math.min(bytes.length, state.left + state.padding);
    const part = Buffer.from(bytes.subarray(0, take));
    this.#held.push(part);
    state.parts.push(part.subarray(0, Math.min(take, state.left)));
    const content = Math.min(take, state.left);
    state.left -= content;
    state.padding -= take - content;
    if (state.left === 0 && state.padding === 0) {
      this.#pax = parsePaxRecords(Buffer.concat(state.parts));
      this.#state = { at: "header" };
    }
    return take;
  }

  #readData(bytes: Buffer, state: Extract<State, { at: "data" }>, passed: Buffer[]): number {
    const take = Math.min(bytes.length, state.left);
    const part = bytes.subarray(0, take);
    if (state.map === undefined) state.hasher?.update(part);
    else if (state.hasher !== undefined) state.map.push(part, state.hasher);
    if (state.kept) passed.push(part);
    state.left -= take;
    if (state.left === 0) this.#endMember(state);
    return take;
  }

  #skipPadding(bytes: Buffer, state: Extract<State, { at: "padding" }>, passed: Buffer[]): number {
    const take = Math.min(bytes.length, state.left);
    if (state.kept) passed.push(bytes.subarray(0, take));
    state.left -= take;
    if (state.left === 0) this.#state = { at: "header" };
    return take;
  }

  #endMember(state: Extract<State, { at: "data" }>): void {
    if (state.hasher !== undefined) state.map?.end(state.hasher);
    this.#listener.end(state.header, state.header.type === "file" ? state.hasher?.finish() : undefined);
    this.#state = state.padding === 0 ? { at: "header" } : { at: "padding", left: state.padding, kept: state.kept };
  }
}

function clearSetId(block: Buffer, mode: number): Buffer {
  const cleared = Buffer.from(block);
  cleared.write((mode & 0o1777).toString(8).padStart(7, "0"), 100, "latin1");
  cleared.fill(0x20, 148, 156);
  const sum = cleared.reduce((total, byte) => total + byte, 0);
  cleared.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return cleared;
}
