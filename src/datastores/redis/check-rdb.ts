import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "../../base/find-program.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { explainRedisError } from "./explain-error.ts";
import { countKeys, describeScan } from "./rdb-contents.ts";
import { scanRdb, type RdbScan } from "./scan-rdb.ts";

const checkMs = 60 * 60_000;

/** Reads the stored RDB to its end: by our own reader, and by the server's own tool where that is installed. */
export async function checkStoredRdb(
  entries: AsyncIterable<StoredEntry>,
  context: DriverContext,
  signal: AbortSignal,
): Promise<CheckResult> {
  const path = join(context.stagingDir, `check-${randomBytes(6).toString("hex")}.rdb`);
  try {
    let scan: RdbScan | undefined;
    for await (const entry of entries) {
      requireSingleRdb(entry, scan);
      scan = await writeAndScan(entry, path, signal);
    }
    if (scan === undefined) throw new HoldfastError("backup-incomplete", "the backup has no RDB");
    return { contents: describeScan(scan), notes: [...describeDoubts(scan), ...(await runServerCheck(path, scan, signal))] };
  } catch (error) {
    throw prefixError(`Cannot check "${context.name}"`, explainRedisError(error, "check"));
  } finally {
    await rm(path, { force: true });
  }
}

export function requireSingleRdb(entry: StoredEntry, earlier: unknown): void {
  if (earlier === undefined && entry.form === "file") return;
  throw new HoldfastError(
    "backup-damaged",
    `not a backup of one Redis server: it holds ${earlier === undefined ? "a tree" : "several files"}`,
  );
}

/**
 * Writes a stored entry into a new file and scans it on the way, each piece while it is written. The file is whole when this returns, but need
 * not be on the disk: `syncFile`.
 */
export async function writeAndScan(
  entry: StoredEntry,
  path: string,
  signal: AbortSignal,
  report: (bytes: number) => void = () => undefined,
): Promise<RdbScan> {
  await using file = await open(path, "wx", 0o600);
  return await scanRdb(writeThrough(entry.open(signal), file, report), Date.now());
}

async function* writeThrough(
  chunks: AsyncIterable<Uint8Array>,
  file: FileHandle,
  report: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  let writing = Promise.resolve();
  try {
    for await (const chunk of chunks) {
      writing = file.writeFile(chunk);
      // It is told below, or has lost to an earlier error.
      writing.catch(() => undefined);
      bytes += chunk.length;
      report(bytes);
      yield chunk;
      await writing;
    }
  } finally {
    // The file must not be closed under it.
    await writing.catch(() => undefined);
  }
}

/** What was written to a file survives a power cut when this returns. */
export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, "r+");
  await file.sync();
}

export function scanRdbFile(path: string, nowMs: number, signal: AbortSignal): Promise<RdbScan> {
  return scanRdb(createReadStream(path, { highWaterMark: 1 << 20, signal }), nowMs);
}

/** The tool of an older server cannot judge a newer file, nor that of one family all files of the other. */
const cannotJudge = /Can't handle RDB format version|Wrong signature|Unknown (?:object|RDB object) type/i;

/** @throws backup-damaged when the tool says so */
export async function runServerCheck(path: string, scan: RdbScan, signal: AbortSignal): Promise<readonly Note[]> {
  const program = ["redis-check-rdb", "valkey-check-rdb"].find((name) => findProgram(name) !== undefined);
  if (program === undefined) {
    return [{ level: "info", code: "no-check-tool", message: "redis-check-rdb is not installed: the RDB was read by Holdfast alone" }];
  }
  const { stdout, exitCode } = await runProgram(program, [path], { accept: [0, 1], timeoutMs: checkMs }, signal);
  if (exitCode === 0) return [];
  const reason =
    /^--- RDB ERROR DETECTED ---\n(.*)$/m.exec(stdout)?.[1] ?? /^(?:\[.*?\] )?(.*\S)\s*$/m.exec(stdout)?.[1] ?? "no reason given";
  if (cannotJudge.test(stdout)) {
    const message = `${program} is of another version than the RDB (${scan.family} ${scan.version}) and cannot check it: ${reason}`;
    return [{ level: "info", code: "check-tool-version", message }];
  }
  throw new HoldfastError("backup-damaged", `${program} finds it damaged: ${reason}`);
}

/** What is worth knowing of a sound RDB. */
export function describeDoubts(scan: RdbScan): readonly Note[] {
  const notes: Note[] = [];
  if (scan.unknown !== undefined) {
    notes.push({
      level: "warning",
      code: "rdb-unknown",
      message: `The RDB is of version ${scan.version}, which this Holdfast does not know: its keys are not counted (${scan.unknown})`,
    });
  } else if (scan.checksum === "absent") {
    notes.push({
      level: "warning",
      code: "rdb-no-checksum",
      message: "The server writes RDB files without a checksum (rdbchecksum no): damage in its memory or on the way here cannot be seen",
    });
  }
  if (scan.unknown === undefined && countKeys(scan) === 0 && scan.functions === 0) {
    notes.push({ level: "warning", code: "empty", message: "The server holds no keys and no functions" });
  }
  return notes;
}
