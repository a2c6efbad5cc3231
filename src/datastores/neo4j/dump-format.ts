import { pipeline, Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { HoldfastError } from "../../base/errors.ts";

const blockBytes = 512;
/** The word `zstd`, a version, the number of files, their bytes; then a tar. The gzip form, made where no zstd can be loaded, is a tar alone. */
const metadataBytes = 24;

export interface DumpFormat {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Reads a dump of neo4j-admin to its end: its magic, its compression with the checksum of that, the headers of the tar in it, and that it
 * has as many files and bytes as it says. @throws backup-damaged
 */
export async function readDump(source: AsyncIterable<Uint8Array>, name: string): Promise<DumpFormat> {
  const damaged = (why: string, cause?: unknown): HoldfastError =>
    new HoldfastError("backup-damaged", `Cannot read "${name}": ${why}`, cause === undefined ? {} : { cause });
  const pieces = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 4) {
    const next = await pieces.next();
    if (next.done === true) throw damaged("it is too short for a dump of Neo4j");
    head = Buffer.concat([head, next.value]);
  }
  const magic = head.subarray(0, 4).toString("latin1");
  if (magic !== "DZV1" && magic !== "DGV1") throw damaged("it does not begin as a dump of Neo4j does");
  let failure: Error | undefined;
  // Of whoever reads the backup, and not of the format; what the decompressor complains of comes in at a yield.
  const read = async (): Promise<IteratorResult<Uint8Array, unknown>> =>
    await pieces.next().catch((error: unknown) => {
      failure = error instanceof Error ? error : new Error(String(error));
      throw failure;
    });
  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    yield head.subarray(4);
    for (let next = await read(); next.done !== true; next = await read()) yield next.value;
  }
  const plain = magic === "DZV1" ? createZstdDecompress() : createGunzip();
  pipeline(Readable.from(body()), plain, () => undefined);
  const tar = new TarCount(magic === "DZV1" ? metadataBytes : 0);
  try {
    for await (const chunk of plain) tar.push(chunk as Buffer);
    return tar.finish();
  } catch (error) {
    if (failure !== undefined) throw failure;
    throw damaged(error instanceof Error ? error.message : String(error), error);
  }
}

class TarCount {
  #rest: Buffer = Buffer.alloc(0);
  #said: DumpFormat | undefined;
  #skip = 0;
  #zeros = 0;
  #files = 0;
  #bytes = 0;
  /** Still to come before the tar. */
  #metadata: number;

  constructor(metadata: number) {
    this.#metadata = metadata;
  }

  push(chunk: Buffer): void {
    let at = Math.min(this.#skip, chunk.length);
    this.#skip -= at;
    if (this.#skip > 0) return;
    let rest = this.#rest.length === 0 ? chunk.subarray(at) : Buffer.concat([this.#rest, chunk.subarray(at)]);
    at = 0;
    if (this.#metadata > 0) {
      if (rest.length < this.#metadata) {
        this.#rest = rest;
        return;
      }
      this.#said = { files: Number(rest.readBigInt64BE(8)), bytes: Number(rest.readBigInt64BE(16)) };
      at = this.#metadata;
      this.#metadata = 0;
    }
    while (rest.length - at >= blockBytes) {
      const padded = this.#readHeader(rest.subarray(at, at + blockBytes));
      at += blockBytes;
      const taken = Math.min(padded, rest.length - at);
      at += taken;
      this.#skip = padded - taken;
      if (this.#skip > 0) break;
    }
    rest = rest.subarray(at);
    this.#rest = Buffer.from(rest);
  }

  finish(): DumpFormat {
    const counted = { files: this.#files, bytes: this.#bytes };
    const said = this.#said ?? counted;
    if (this.#metadata > 0 || this.#skip > 0 || this.#rest.length > 0 || this.#zeros < 2) throw new Error("it ends too early");
    if (said.files !== counted.files || said.bytes !== counted.bytes)
      throw new Error(`it holds ${counted.files} files of ${counted.bytes} bytes, and says ${said.files} of ${said.bytes}`);
    return counted;
  }

  /** @returns how many bytes follow it, padding included */
  #readHeader(header: Buffer): number {
    if (header.every((byte) => byte === 0)) {
      this.#zeros += 1;
      return 0;
    }
    if (this.#zeros > 0) throw new Error("something follows its end");
    const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
    if (sum !== readNumber(header.subarray(148, 156))) throw new Error("a header in it is damaged");
    const bytes = readNumber(header.subarray(124, 136));
    const type = header[156];
    // 0x30 and 0: a file; extended headers ("x", "g") count as none.
    if (type === 0x30 || type === 0) {
      this.#files += 1;
      this.#bytes += bytes;
    }
    return Math.ceil(bytes / blockBytes) * blockBytes;
  }
}

function readNumber(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) return Number(field.readBigUInt64BE(field.length - 8));
  return Number.parseInt(field.toString("latin1").replaceAll("\0", " ").trim() || "0", 8);
}
