import { HoldfastError } from "../../base/errors.ts";
import { createKeySet, type KeySet } from "./key-set.ts";
import { RdbCursor, RdbEndedError, type NeedsMore } from "./rdb-cursor.ts";
import { commonForms, RdbUnknownError, skipModuleValue, skipValue, type RdbFamily, type SkippedValue } from "./rdb-objects.ts";
import { RdbFormatError, readLength, readMilliseconds, readString } from "./rdb-values.ts";

type Reading<T> = Generator<NeedsMore, T, void>;

/** The keys of one database, as the file holds them. */
export interface ScannedDatabase {
  readonly keys: number;
  /** Of them those with a time to live. */
  readonly expires: number;
  /** Of those with a time to live the ones that still had some at `nowMs`. */
  readonly alive: number;
  /** Hashes that have no time to live, but fields that have one: they may go as well. */
  readonly volatile: number;
  /** Names and types of all keys that stay, in any order. */
  readonly persistent: string;
}

/** What an RDB file holds. */
export interface RdbScan {
  readonly family: RdbFamily;
  readonly version: number;
  /** What the server has noted: `redis-ver`, `ctime`, `used-mem`, `repl-id` … */
  readonly aux: ReadonlyMap<string, string>;
  readonly databases: ReadonlyMap<number, ScannedDatabase>;
  /** Libraries of functions. */
  readonly functions: number;
  readonly functionsDigest: string;
  readonly moduleTypes: readonly string[];
  /** `absent`: the server has `rdbchecksum no`. */
  readonly checksum: "right" | "absent";
  readonly bytes: number;
  /** Why keys could not be counted: the file is of a later version than this reader. Then its databases are not to be relied on. */
  readonly unknown: string | undefined;
}

interface Tally {
  keys: number;
  expires: number;
  alive: number;
  volatile: number;
  readonly persistent: KeySet;
}

interface Draft {
  readonly nowMs: number;
  family: RdbFamily;
  version: number;
  readonly aux: Map<string, string>;
  readonly databases: Map<number, Tally>;
  functions: number;
  readonly functionSet: KeySet;
  readonly moduleTypes: Set<string>;
  unknown: string | undefined;
}

/** The last versions whose forms of values are all known; what is of a later one is read as far as possible. */
const knownVersions = { redis: 12, valkey: 80 } as const;

/**
 * Reads an RDB to its end and counts what is in it, in flat memory, with its checksum.
 * @param nowMs keys whose time has come by then are counted apart
 * @throws backup-damaged when it is none, is cut, or its checksum differs
 */
export async function scanRdb(bytes: AsyncIterable<Uint8Array>, nowMs: number): Promise<RdbScan> {
  const cursor = new RdbCursor();
  const draft: Draft = {
    nowMs,
    family: "redis",
    version: 0,
    aux: new Map(),
    databases: new Map(),
    functions: 0,
    functionSet: createKeySet(),
    moduleTypes: new Set(),
    unknown: undefined,
  };
  const reading = readFile(cursor, draft);
  try {
    let done = reading.next();
    for await (const chunk of bytes) {
      cursor.push(chunk);
      done = reading.next();
    }
    cursor.end();
    while (done.done !== true) done = reading.next();
    return finishScan(draft, done.value, cursor.offset);
  } catch (error) {
    if (error instanceof RdbEndedError) {
      throw new HoldfastError("backup-damaged", error.offset === 0 ? "the RDB is empty" : `the RDB is cut: ${error.message}`);
    }
    if (error instanceof RdbFormatError) throw new HoldfastError("backup-damaged", `not a sound RDB: ${error.message}`);
    throw error;
  }
}

function finishScan(draft: Draft, checksum: RdbScan["checksum"], bytes: number): RdbScan {
  const databases = [...draft.databases]
    .filter(([, { keys }]) => keys > 0)
    .sort(([one], [other]) => one - other)
    .map(([index, { persistent, ...counts }]) => [index, { ...counts, persistent: persistent.describe() }] as const);
  return {
    family: draft.family,
    version: draft.version,
    aux: draft.aux,
    databases: new Map(databases),
    functions: draft.functions,
    functionsDigest: draft.functionSet.describe(),
    moduleTypes: [...draft.moduleTypes].sort(),
    checksum,
    bytes,
    unknown: draft.unknown,
  };
}

function* readFile(cursor: RdbCursor, draft: Draft): Reading<RdbScan["checksum"]> {
  const header = (yield* cursor.readBytes(9)).toString("latin1");
  const match = /^(?:REDIS(\d{4})|VALKEY(\d{3}))$/.exec(header);
  if (match === null) throw new RdbFormatError("it does not begin as one");
  draft.family = match[1] === undefined ? "valkey" : "redis";
  draft.version = Number(match[1] ?? match[2]);
  try {
    yield* readRecords(cursor, draft);
  } catch (error) {
    const later = draft.version > knownVersions[draft.family];
    if (!(error instanceof RdbUnknownError || (later && error instanceof RdbFormatError))) throw error;
    if (!later) throw new RdbFormatError(error.message);
    // The checksum at its end can be compared all the same, by whoever has the server's own tools.
    draft.unknown = error.message;
    yield* cursor.skipAll();
    return "absent";
  }
  const checksum = draft.version < 5 ? "absent" : yield* readChecksum(cursor);
  if (!(yield* cursor.waitForEnd())) throw new RdbFormatError(`there is more after its end (byte ${cursor.offset})`);
  return checksum;
}

function* readChecksum(cursor: RdbCursor): Reading<RdbScan["checksum"]> {
  const { low, high } = cursor.crc;
  const stored = yield* cursor.readBytes(8);
  const [storedLow, storedHigh] = [stored.readUInt32LE(0), stored.readUInt32LE(4)];
  if (storedLow === 0 && storedHigh === 0) return "absent";
  if (storedLow !== low || storedHigh !== high) throw new RdbFormatError("its checksum differs");
  return "right";
}

const opcodes = {
  slotInfo: 244,
  function: 245,
  moduleAux: 247,
  idle: 248,
  frequency: 249,
  aux: 250,
  resize: 251,
  expireMs: 252,
  expireSeconds: 253,
  select: 254,
  end: 255,
} as const;

function* readRecords(cursor: RdbCursor, draft: Draft): Reading<void> {
  let database = openTally(draft, 0);
  let expiresAtMs: number | undefined;
  for (;;) {
    const opcode = cursor.takeByte() ?? (yield* cursor.readByte());
    const form = commonForms[opcode];
    if (form !== undefined && cursor.takeKey(form.shape)) {
      countKey(database, form, expiresAtMs, draft.nowMs);
      if (expiresAtMs === undefined) addName(database, form.type, cursor.bytes, cursor.nameFrom, cursor.nameTo);
      expiresAtMs = undefined;
      continue;
    }
    switch (opcode) {
      case opcodes.end:
        return;
      case opcodes.select:
        database = openTally(draft, yield* readLength(cursor));
        break;
      case opcodes.expireMs:
        expiresAtMs = yield* readMilliseconds(cursor);
        break;
      case opcodes.expireSeconds:
        expiresAtMs = 1000 * (yield* cursor.readBytes(4)).readInt32LE();
        break;
      case opcodes.frequency:
        yield* cursor.skip(1);
        break;
      case opcodes.idle:
        yield* readLength(cursor);
        break;
      case opcodes.resize:
        yield* readLength(cursor);
        yield* readLength(cursor);
        break;
      case opcodes.slotInfo:
        for (let index = 0; index < 3; index += 1) yield* readLength(cursor);
        break;
      case opcodes.aux: {
        const name = (yield* readString(cursor)).toString();
        draft.aux.set(name, (yield* readString(cursor)).toString());
        break;
      }
      case opcodes.function:
        draft.functions += 1;
        draft.functionSet.add(opcode, yield* readString(cursor));
        break;
      case opcodes.moduleAux:
        draft.moduleTypes.add(yield* skipModuleValue(cursor));
        break;
      default:
        if (opcode > 200) throw new RdbUnknownError(`the type ${opcode} of a record is of a later version`);
        yield* readKey(cursor, draft, database, opcode, expiresAtMs);
        expiresAtMs = undefined;
    }
  }
}

function openTally(draft: Draft, index: number): Tally {
  const known = draft.databases.get(index);
  if (known !== undefined) return known;
  const tally: Tally = { keys: 0, expires: 0, alive: 0, volatile: 0, persistent: createKeySet() };
  draft.databases.set(index, tally);
  return tally;
}

function* readKey(cursor: RdbCursor, draft: Draft, database: Tally, kind: number, expiresAtMs: number | undefined): Reading<void> {
  // A copy: it is needed after the bytes around it are gone.
  const name = Buffer.from(cursor.takeString() ?? (yield* readString(cursor)));
  const value = yield* skipValue(cursor, kind, draft.family);
  if (value.module !== undefined) draft.moduleTypes.add(value.module);
  countKey(database, value, expiresAtMs, draft.nowMs);
  if (expiresAtMs === undefined && !value.volatile) addName(database, value.type, name);
}

function countKey(database: Tally, value: { readonly volatile: boolean }, expiresAtMs: number | undefined, nowMs: number): void {
  database.keys += 1;
  if (expiresAtMs !== undefined) {
    database.expires += 1;
    if (expiresAtMs > nowMs) database.alive += 1;
  } else if (value.volatile) database.volatile += 1;
}

/** Of a key that stays. */
function addName(database: Tally, type: SkippedValue["type"], bytes: Uint8Array, from?: number, to?: number): void {
  database.persistent.add(type.charCodeAt(0) * 256 + type.charCodeAt(1), bytes, from, to);
}

/** Reads only what the server has noted at the beginning. Undefined when these first bytes do not hold all of it. */
export function readRdbHeader(first: Buffer): ReadonlyMap<string, string> | undefined {
  const cursor = new RdbCursor();
  cursor.push(first);
  cursor.end();
  const aux = new Map<string, string>();
  const reading = readHeaderRecords(cursor, aux);
  try {
    for (let step = reading.next(); step.done !== true; step = reading.next());
    return aux;
  } catch (error) {
    if (error instanceof RdbEndedError || error instanceof RdbFormatError) return undefined;
    throw error;
  }
}

function* readHeaderRecords(cursor: RdbCursor, aux: Map<string, string>): Reading<void> {
  const header = (yield* cursor.readBytes(9)).toString("latin1");
  if (!/^(?:REDIS\d{4}|VALKEY\d{3})$/.test(header)) throw new RdbFormatError("it does not begin as one");
  while ((yield* cursor.readByte()) === opcodes.aux) {
    const name = (yield* readString(cursor)).toString();
    aux.set(name, (yield* readString(cursor)).toString());
  }
}
