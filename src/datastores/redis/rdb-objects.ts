import type { NeedsMore, RdbCursor, ValueShape } from "./rdb-cursor.ts";
import { RdbFormatError, readLength, readLongLength, skipString, skipStrings, skipTextDouble } from "./rdb-values.ts";

type Reading<T> = Generator<NeedsMore, T, void>;

/** Whose format a file is in: they went separate ways after version 11, and give the same numbers other meanings. */
export type RdbFamily = "redis" | "valkey";

/** A type of value or record that this reader does not know: of a later version than it. */
export class RdbUnknownError extends Error {}

export interface SkippedValue {
  /** What an application calls its type: the same for all encodings of it. */
  readonly type: "string" | "list" | "set" | "zset" | "hash" | "stream" | "module";
  /** Fields of a hash with a time of their own: the hash may shrink and go without its key having a time. */
  readonly volatile: boolean;
  /** Of a module's value, for example `ReJSON-RL`. */
  readonly module?: string;
}

const plain = (type: SkippedValue["type"]): SkippedValue => ({ type, volatile: false });

/** A form of values that needs no generator to be passed. */
interface CommonForm extends SkippedValue {
  readonly shape: ValueShape;
}

const form = (type: SkippedValue["type"], shape: ValueShape): CommonForm => ({ type, volatile: false, shape });

/** By their numbers in the file: those that almost all keys have. A generator for each costs more than all else that is done with them. */
export const commonForms: readonly (CommonForm | undefined)[] = (() => {
  const forms: (CommonForm | undefined)[] = Array.from({ length: 256 });
  for (const kind of [9, 13, 16]) forms[kind] = form("hash", "string");
  for (const kind of [11, 20]) forms[kind] = form("set", "string");
  for (const kind of [12, 17]) forms[kind] = form("zset", "string");
  for (const kind of [1, 14]) forms[kind] = form("list", "strings");
  forms[0] = form("string", "string");
  forms[2] = form("set", "strings");
  forms[4] = form("hash", "pairs");
  forms[10] = form("list", "string");
  forms[18] = form("list", "nodes");
  return forms;
})();

/** Passes a value. @throws RdbUnknownError, RdbFormatError */
export function* skipValue(cursor: RdbCursor, kind: number, family: RdbFamily): Reading<SkippedValue> {
  if (kind >= 22) return yield* skipHashWithTimes(cursor, kind, family);
  switch (kind) {
    case 0:
      yield* skipString(cursor);
      return plain("string");
    case 1:
    case 14:
      yield* skipStrings(cursor, yield* readLength(cursor));
      return plain("list");
    case 2:
      yield* skipStrings(cursor, yield* readLength(cursor));
      return plain("set");
    case 3:
    case 5:
      yield* skipSortedSet(cursor, kind === 5 ? "binary" : "text");
      return plain("zset");
    case 4:
      yield* skipStrings(cursor, 2 * (yield* readLength(cursor)));
      return plain("hash");
    case 7:
      return { type: "module", volatile: false, module: yield* skipModuleValue(cursor) };
    case 9:
    case 13:
    case 16:
      yield* skipString(cursor);
      return plain("hash");
    case 10:
      yield* skipString(cursor);
      return plain("list");
    case 11:
    case 20:
      yield* skipString(cursor);
      return plain("set");
    case 12:
    case 17:
      yield* skipString(cursor);
      return plain("zset");
    case 15:
    case 19:
    case 21:
      yield* skipStream(cursor, kind);
      return plain("stream");
    case 18:
      yield* skipQuicklist(cursor);
      return plain("list");
    default:
      throw new RdbFormatError(`no value has the type ${kind} (byte ${cursor.offset - 1})`);
  }
}

function* skipSortedSet(cursor: RdbCursor, scores: "binary" | "text"): Reading<void> {
  const count = yield* readLength(cursor);
  for (let index = 0; index < count; index += 1) {
    yield* skipString(cursor);
    if (scores === "binary") yield* cursor.skip(8);
    else yield* skipTextDouble(cursor);
  }
}

function* skipQuicklist(cursor: RdbCursor): Reading<void> {
  const count = yield* readLength(cursor);
  for (let index = 0; index < count; index += 1) {
    yield* readLength(cursor);
    yield* skipString(cursor);
  }
}

function* skipStream(cursor: RdbCursor, kind: number): Reading<void> {
  yield* skipStrings(cursor, 2 * (yield* readLength(cursor)));
  // Length and last id; since 7.0 the first id, the greatest deleted id and the number of entries ever added.
  yield* skipLengths(cursor, kind === 15 ? 3 : 8);
  const groups = yield* readLength(cursor);
  for (let group = 0; group < groups; group += 1) {
    yield* skipString(cursor);
    yield* skipLengths(cursor, kind === 15 ? 2 : 3);
    const pending = yield* readLength(cursor);
    for (let entry = 0; entry < pending; entry += 1) {
      yield* cursor.skip(16 + 8);
      yield* readLength(cursor);
    }
    const consumers = yield* readLength(cursor);
    for (let consumer = 0; consumer < consumers; consumer += 1) {
      yield* skipString(cursor);
      yield* cursor.skip(kind === 21 ? 16 : 8);
      yield* cursor.skip(16 * (yield* readLength(cursor)));
    }
  }
}

function* skipLengths(cursor: RdbCursor, count: number): Reading<void> {
  for (let index = 0; index < count; index += 1) yield* readLength(cursor);
}

/** Hashes whose fields expire one by one: each of the two families has forms of its own. */
function* skipHashWithTimes(cursor: RdbCursor, kind: number, family: RdbFamily): Reading<SkippedValue> {
  const hash: SkippedValue = { type: "hash", volatile: true };
  if (family === "valkey") {
    if (kind !== 22) throw new RdbUnknownError(`the type ${kind} of a value is of a later version`);
    const count = yield* readLength(cursor);
    for (let index = 0; index < count; index += 1) {
      yield* skipStrings(cursor, 2);
      yield* cursor.skip(8);
    }
    return hash;
  }
  if (kind > 25) throw new RdbUnknownError(`the type ${kind} of a value is of a later version`);
  if (kind >= 24) yield* cursor.skip(8);
  if (kind === 23 || kind === 25) {
    yield* skipString(cursor);
    return hash;
  }
  const count = yield* readLength(cursor);
  for (let index = 0; index < count; index += 1) {
    yield* readLength(cursor);
    yield* skipStrings(cursor, 2);
  }
  return hash;
}

/** Passes what a module has stored and gives the name of its type. */
export function* skipModuleValue(cursor: RdbCursor): Reading<string> {
  const name = nameModuleType(yield* readLongLength(cursor));
  for (;;) {
    const opcode = yield* readLength(cursor);
    switch (opcode) {
      case 0:
        return name;
      case 1:
      case 2:
        yield* readLength(cursor);
        break;
      case 3:
        yield* cursor.skip(4);
        break;
      case 4:
        yield* cursor.skip(8);
        break;
      case 5:
        yield* skipString(cursor);
        break;
      default:
        throw new RdbFormatError(`no part of a module's value has the type ${opcode} (byte ${cursor.offset - 1})`);
    }
  }
}

const moduleLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The nine letters that a module type's id is made of; the last ten bits are the version of its encoding. */
function nameModuleType(id: bigint): string {
  let name = "";
  for (let index = 0n; index < 9n; index += 1n) name = moduleLetters[Number((id >> (10n + 6n * index)) & 63n)] + name;
  return name;
}
