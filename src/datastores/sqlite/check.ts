import { createWriteStream } from "node:fs";
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { runChild } from "./run-child.ts";
import { readSourceFile } from "../sqlite-files/source-file.ts";

/** Reads the stored database to its end and examines it in a scratch file. Damage that it had at its source is a note, as in the dump. */
export async function checkDatabase(
  entries: AsyncIterable<StoredEntry>,
  context: DriverContext,
  signal: AbortSignal,
): Promise<CheckResult> {
  const path = join(context.stagingDir, `check-${randomBytes(6).toString("hex")}.db`);
  try {
    let found = 0;
    for await (const entry of entries) {
      found += 1;
      requireSingleFile(entry, found);
      await pipeline(Readable.from(entry.open(signal)), createWriteStream(path, { flags: "wx", mode: 0o600 }), { signal });
    }
    if (found === 0) throw new HoldfastError("backup-incomplete", "the backup has no database file");
    // SQLite would take an empty file for an empty database.
    await readSourceFile(path);
    const settings = { identity: null, progress: context.progress };
    return await runChild({ op: "examine", path, header: "self-contained", integrity: "full", countRows: "all" }, settings, signal);
  } catch (error) {
    throw prefixError(`Cannot check "${context.name}"`, error, damagedCodes);
  } finally {
    await Promise.all(["", "-wal", "-shm", "-journal"].map((suffix) => rm(path + suffix, { force: true })));
  }
}

/** What is wrong with a source is, in a stored copy, damage of the backup. */
export const damagedCodes = {
  "source-corrupt": "backup-damaged",
  "source-encrypted": "backup-damaged",
  "source-empty": "backup-damaged",
} as const;

/** Throws `backup-damaged` for an entry that a backup of one database cannot have; `count` counts from 1. */
export function requireSingleFile(entry: StoredEntry, count: number): void {
  if (count === 1 && entry.form === "file") return;
  throw new HoldfastError("backup-damaged", `not a backup of one SQLite database: it holds ${count > 1 ? "several files" : "a tree"}`);
}
