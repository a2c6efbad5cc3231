import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { CheckResult, DatastoreSpec, DriverContext, StoredEntry } from "../contract.ts";
import { prefixError } from "./classify-error.ts";
import { examineExport } from "./sqlite-examine.ts";

type Check = DatastoreSpec<unknown>["check"];

const magic = Buffer.from("SQLite format 3\0");

/** Checks a member that is a SQLite export, and gives every other one to `otherwise`. */
export function withSqliteCheck(otherwise: Check): Check {
  return async (entries, context, signal) => {
    const iterator = entries[Symbol.asyncIterator]();
    try {
      const first = await iterator.next();
      if (first.done === true) return await otherwise(Readable.from([]), context, signal);
      if (await isSqliteEntry(first.value, signal)) return await checkExport(first.value, iterator, context, signal);
      return await otherwise(chain(first.value, iterator), context, signal);
    } finally {
      await iterator.return?.();
    }
  };
}

async function* chain(first: StoredEntry, rest: AsyncIterator<StoredEntry>): AsyncGenerator<StoredEntry, void, undefined> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

/** By its first bytes, whatever it is called. */
export async function isSqliteEntry(entry: StoredEntry, signal: AbortSignal): Promise<boolean> {
  if (entry.form !== "file" || entry.bytes < magic.length) return false;
  let start: Uint8Array = Buffer.alloc(0);
  for await (const chunk of entry.open(signal)) {
    start = Buffer.concat([start, chunk.subarray(0, magic.length)]);
    if (start.length >= magic.length) break;
  }
  return magic.equals(start.subarray(0, magic.length));
}

async function checkExport(
  entry: StoredEntry,
  rest: AsyncIterator<StoredEntry>,
  context: DriverContext,
  signal: AbortSignal,
): Promise<CheckResult> {
  const path = join(context.stagingDir, `check-${randomBytes(6).toString("hex")}.db`);
  try {
    await writeEntry(entry, path, signal);
    requireLast(await rest.next());
    return { contents: examineExport(path).contents, notes: [] };
  } catch (error) {
    throw prefixError(`Cannot read "${entry.name}" of "${context.name}"`, error);
  } finally {
    await rm(path, { force: true });
  }
}

/** A private copy, which SQLite needs to read it. */
export async function writeEntry(entry: StoredEntry, path: string, signal: AbortSignal): Promise<void> {
  await pipeline(Readable.from(entry.open(signal)), createWriteStream(path, { flags: "wx", mode: 0o600, flush: true }), { signal });
}

/** Throws `backup-damaged` where a second file follows. */
export function requireLast(next: IteratorResult<StoredEntry, unknown>): void {
  if (next.done !== true) throw new HoldfastError("backup-damaged", "not one SQLite export: it holds several files");
}
