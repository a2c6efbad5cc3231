import { decompressLzf } from "./lzf.ts";
import type { NeedsMore, RdbCursor } from "./rdb-cursor.ts";

type Reading<T> = Generator<NeedsMore, T, void>;

/** What stands in the file is no RDB, or a damaged one. */
export class RdbFormatError extends Error {}

/** No value of Redis is longer (`proto-max-bulk-len` at its default is 512 MiB; nobody can store 4 GiB in one string). */
const maxStringBytes = 0xffff_ffff;

interface RdbLength {
  /** Of a string or list; the way a special value is encoded, where `special`. */
  readonly value: number;
  readonly special: boolean;
}

function* readLengthOrSpecial(cursor: RdbCursor): Reading<RdbLength> {
  const first = yield* cursor.readByte();
  switch (first >> 6) {
    case 0:
      return { value: first & 63, special: false };
    case 1:
      return { value: ((first & 63) << 8) | (yield* cursor.readByte()), special: false };
    case 3:
      return { value: first & 63, special: true };
    default:
  }
  if (first === 0x80) return { value: (yield* cursor.readBytes(4)).readUInt32BE(), special: false };
  // Numbers of 64 bits (module ids, ids of streams) lose their last bits, which nobody needs here.
  if (first === 0x81) return { value: Number((yield* cursor.readBytes(8)).readBigUInt64BE()), special: false };
  throw new RdbFormatError(`no length can begin with 0x${first.toString(16)} (byte ${cursor.offset - 1})`);
}

export function* readLength(cursor: RdbCursor): Reading<number> {
  const { value, special } = yield* readLengthOrSpecial(cursor);
  if (special) throw new RdbFormatError(`a length was expected (byte ${cursor.offset - 1})`);
  return value;
}

/** A length of 64 bits, exactly. */
export function* readLongLength(cursor: RdbCursor): Reading<bigint> {
  const first = yield* cursor.readByte();
  if (first === 0x81) return (yield* cursor.readBytes(8)).readBigUInt64BE();
  if (first === 0x80) return BigInt((yield* cursor.readBytes(4)).readUInt32BE());
  if (first >> 6 === 0) return BigInt(first & 63);
  if (first >> 6 === 1) return BigInt(((first & 63) << 8) | (yield* cursor.readByte()));
  throw new RdbFormatError(`a length was expected (byte ${cursor.offset - 1})`);
}

const integerBytes = [1, 2, 4] as const;
const lzf = 3;

/** The string itself, decompressed; an integer as its decimal text. Valid until the next read. */
export function* readString(cursor: RdbCursor): Reading<Buffer> {
  const { value, special } = yield* readLengthOrSpecial(cursor);
  if (!special) return yield* cursor.readBytes(checkLength(value, cursor));
  if (value === lzf) {
    const packed = checkLength(yield* readLength(cursor), cursor);
    const plain = checkLength(yield* readLength(cursor), cursor);
    const bytes = decompressLzf(yield* cursor.readBytes(packed), plain);
    if (bytes === undefined) throw new RdbFormatError(`a compressed string cannot be decompressed (before byte ${cursor.offset})`);
    return bytes;
  }
  const size = integerBytes[value];
  if (size === undefined) throw new RdbFormatError(`no string is encoded as ${value} (byte ${cursor.offset - 1})`);
  return Buffer.from(String((yield* cursor.readBytes(size)).readIntLE(0, size)));
}

export function* skipString(cursor: RdbCursor): Reading<void> {
  const { value, special } = yield* readLengthOrSpecial(cursor);
  if (!special) return yield* cursor.skip(checkLength(value, cursor));
  if (value === lzf) {
    const packed = checkLength(yield* readLength(cursor), cursor);
    yield* readLength(cursor);
    return yield* cursor.skip(packed);
  }
  const size = integerBytes[value];
  if (size === undefined) throw new RdbFormatError(`no string is encoded as ${value} (byte ${cursor.offset - 1})`);
  yield* cursor.skip(size);
}

function checkLength(bytes: number, cursor: RdbCursor): number {
  if (bytes > maxStringBytes) throw new RdbFormatError(`a string of ${bytes} bytes cannot be (byte ${cursor.offset})`);
  return bytes;
}

export function* skipStrings(cursor: RdbCursor, count: number): Reading<void> {
  for (let index = 0; index < count; index += 1) if (!cursor.skipString()) yield* skipString(cursor);
}

/** The number that a sorted set of the old form has for a member. */
export function* skipTextDouble(cursor: RdbCursor): Reading<void> {
  const length = yield* cursor.readByte();
  // Above are not-a-number and the infinities, which need no text.
  if (length < 253) yield* cursor.skip(length);
}

/** Milliseconds since the epoch. */
export function* readMilliseconds(cursor: RdbCursor): Reading<number> {
  return Number((yield* cursor.readBytes(8)).readBigInt64LE());
}
