import { HoldfastError } from "../../base/errors.ts";

export const blockBytes = 512;

export type MemberType = "file" | "hardlink" | "symlink" | "character-device" | "block-device" | "directory" | "fifo";

const memberTypes: Readonly<Record<string, MemberType>> = {
  "\0": "file",
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
};

/** One member of a POSIX tar, as its headers tell it. */
export interface MemberHeader {
  /** Raw bytes, as stored: `./a/b`. */
  readonly path: Buffer;
  readonly type: MemberType;
  /** Bytes of the file as it is restored. */
  readonly bytes: number;
  /** Bytes that follow in the archive (without padding): fewer than `bytes` for a sparse file. */
  readonly storedBytes: number;
  readonly sparse: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: string;
  readonly link: Buffer | undefined;
  readonly device: string | undefined;
  /** Extended attributes and ACLs: the pax records whose keys begin with `SCHILY.`. */
  readonly extended: readonly (readonly [string, Buffer])[];
}

export type PaxRecords = ReadonlyMap<string, Buffer>;

export function failFormat(reason: string): HoldfastError {
  return new HoldfastError("backup-damaged", `Cannot read the tree: ${reason}`, {
    hint: "Use another backup; `holdfast verify` tells which are sound.",
  });
}

/** True for a block that ends an archive. Throws when the block's checksum is wrong. */
export function isEndBlock(block: Buffer): boolean {
  if (block.every((byte) => byte === 0)) return true;
  let sum = 8 * 32;
  for (let at = 0; at < blockBytes; at += 1) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  if (sum !== readNumber(block, 148, 8)) throw failFormat("a header's checksum is wrong");
  if (block.toString("latin1", 257, 265) !== "ustar\u000000") throw failFormat("a member is not in POSIX format");
  return false;
}

export function readTypeFlag(block: Buffer): string {
  return String.fromCodePoint(block[156] ?? 0);
}

export function readStoredSize(block: Buffer): number {
  return readNumber(block, 124, 12);
}

/** Parses the records of an extended header: `<length> <key>=<value>\n`, lengths and values in bytes. */
export function parsePaxRecords(data: Buffer): PaxRecords {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at);
    const digits = data.toString("latin1", at, space === -1 ? at : space);
    // Digits alone: what tar reads otherwise than we do would be another name to it.
    const length = /^[1-9]\d*$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = data.indexOf(0x3d, space);
    if (length < 5 || end > data.length || data[end - 1] !== 0x0a || equals === -1 || equals >= end)
      throw failFormat("an extended header is malformed");
    records.set(data.toString("utf8", space + 1, equals), data.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

export function parseMemberHeader(block: Buffer, pax: PaxRecords): MemberHeader {
  const type = memberTypes[readTypeFlag(block)];
  if (type === undefined) throw failFormat(`a member has the unknown type ${JSON.stringify(readTypeFlag(block))}`);
  const sparse = pax.has("GNU.sparse.major");
  if (
    [...pax.keys()].some((key) => key.startsWith("GNU.sparse.")) &&
    !(text(pax, "GNU.sparse.major") === "1" && text(pax, "GNU.sparse.minor") === "0")
  ) {
    throw failFormat("a sparse member is in an unknown format");
  }
  const storedBytes = number(pax, "size") ?? readStoredSize(block);
  return {
    path: pax.get("GNU.sparse.name") ?? pax.get("path") ?? readName(block),
    type,
    bytes: sparse ? (number(pax, "GNU.sparse.realsize") ?? storedBytes) : type === "file" ? storedBytes : 0,
    storedBytes: type === "file" ? storedBytes : 0,
    sparse,
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: number(pax, "uid") ?? readNumber(block, 108, 8),
    gid: number(pax, "gid") ?? readNumber(block, 116, 8),
    mtimeNs: readTime(text(pax, "mtime")) ?? `${readNumber(block, 136, 12)}000000000`,
    link: type === "hardlink" || type === "symlink" ? (pax.get("linkpath") ?? readText(block, 157, 100)) : undefined,
    device: type.endsWith("device") ? `${readNumber(block, 329, 8)}:${readNumber(block, 337, 8)}` : undefined,
    extended: [...pax].filter(([key]) => key.startsWith("SCHILY.")).sort(([one], [other]) => (one < other ? -1 : 1)),
  };
}

function readName(block: Buffer): Buffer {
  const prefix = readText(block, 345, 155);
  const name = readText(block, 0, 100);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
}

function readText(block: Buffer, start: number, bytes: number): Buffer {
  const field = block.subarray(start, start + bytes);
  const end = field.indexOf(0);
  return Buffer.from(end === -1 ? field : field.subarray(0, end));
}

function readNumber(block: Buffer, start: number, bytes: number): number {
  const digits = block.toString("latin1", start, start + bytes).replaceAll(/^[ \0]+|[ \0]+$/g, "");
  if (!/^[0-7]*$/.test(digits)) throw failFormat("a header holds a number that is none");
  return Number.parseInt(digits === "" ? "0" : digits, 8);
}

function text(pax: PaxRecords, key: string): string | undefined {
  return pax.get(key)?.toString("latin1");
}

function number(pax: PaxRecords, key: string): number | undefined {
  const digits = text(pax, key);
  if (digits === undefined) return undefined;
  const value = Number(digits);
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(value)) throw failFormat("an extended header holds a number that is none");
  return value;
}

/** Seconds with a fraction to nanoseconds, exactly. */
function readTime(seconds: string | undefined): string | undefined {
  if (seconds === undefined) return undefined;
  const match = /^(-?)(\d+)(?:\.(\d{1,9})\d*)?$/.exec(seconds);
  if (match === null) throw failFormat("an extended header holds a time that is none");
  const ns = BigInt(match[2] ?? "0") * 1_000_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"));
  return String(match[1] === "-" ? -ns : ns);
}

/** Bytes that fill the last block of so many bytes. */
export function findPadding(bytes: number): number {
  return (blockBytes - (bytes % blockBytes)) % blockBytes;
}
