import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { CheckResult, DatastoreSpec, DriverContext, StoredEntry } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
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
async function isSqliteEntry(entry: StoredEntry, signal: AbortSignal): Promise<boolean> {
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
    throw explainFailure(`Cannot read "${entry.name}" of "${context.name}"`, error);
  } finally {
    await rm(path, { force: true });
  }
}

/** A private copy, which SQLite needs to read it. */
async function writeEntry(entry: StoredEntry, path: string, signal: AbortSignal): Promise<void> {
  await pipeline(Readable.from(entry.open(signal)), createWriteStream(path, { flags: "wx", mode: 0o600, flush: true }), { signal });
}

/** Copies the one file of a member to a new place. @throws refused for a member that is no SQLite export */
export async function takeExport(entries: AsyncIterable<StoredEntry>, path: string, signal: AbortSignal): Promise<StoredEntry> {
  const iterator = entries[Symbol.asyncIterator]();
  try {
    const first = await iterator.next();
    if (first.done === true) throw new HoldfastError("backup-incomplete", "the backup has no file");
    if (!(await isSqliteEntry(first.value, signal))) {
      throw new HoldfastError("refused", `"${first.value.name}" is a dump and no SQLite export, as the config says`, {
        hint: "Restore it with the `format` in the config with which it was made.",
      });
    }
    await writeEntry(first.value, path, signal);
    requireLast(await iterator.next());
    return first.value;
  } finally {
    await iterator.return?.();
  }
}

function requireLast(next: IteratorResult<StoredEntry, unknown>): void {
  if (next.done !== true) throw new HoldfastError("backup-damaged", "not one SQLite export: it holds several files");
}
