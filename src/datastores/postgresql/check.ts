import { rm } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError, openProgram } from "../../base/subprocess.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { ByteReader } from "./byte-reader.ts";
import { explainFailure } from "./classify-error.ts";
import { readCustomArchive, readHeader, type ArchiveHeader } from "./custom-archive.ts";
import { describeEmpty } from "./describe-empty.ts";
import { createContents, DumpReader, type DatabaseContents, type DumpReading } from "./dump-contents.ts";
import { findDatabase } from "./entry-names.ts";
import { listRememberedTools } from "./known-tools.ts";
import { findTools, type Toolset } from "./tools.ts";
import { unpackDirectory } from "./unpack-directory.ts";

/** Reads every entry to its end as pg_restore or psql would, and tells what is in it. Nothing is loaded into a server. */
export async function checkDump(entries: AsyncIterable<StoredEntry>, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  const databases: DatabaseContents[] = [];
  const roles: string[] = [];
  const notes: Note[] = [];
  let isCluster = false;
  for await (const entry of entries) {
    try {
      const read = await checkEntry(entry, context, signal);
      notes.push(...read.notes);
      roles.push(...read.reading.roles);
      isCluster ||= read.reading.kind === "cluster" && read.reading.databases.length > 0;
      const database = findDatabase(entry.sourcePath);
      databases.push(...read.reading.databases.map((each) => ({ ...each, database: each.database ?? database })));
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, "The check was stopped");
      throw explainFailure(`Cannot read "${entry.name}" of "${context.name}"`, error, readingCodes);
    }
  }
  notes.push(...describeEmpty(databases));
  return { contents: createContents(databases, isCluster || databases.length > 1 ? "by-database" : "plain", roles), notes };
}

/** What a tool cannot read of a stored dump is damage of the backup. */
const readingCodes = {
  "tool-failed": "backup-damaged",
  "source-unreachable": "backup-damaged",
  "source-changed": "backup-damaged",
} as const;

interface CheckedEntry {
  readonly reading: DumpReading;
  readonly notes: readonly Note[];
}

async function checkEntry(entry: StoredEntry, context: DriverContext, signal: AbortSignal): Promise<CheckedEntry> {
  if (entry.form === "tree") return { reading: await checkDirectory(entry, context, signal), notes: [] };
  let bytes = 0;
  async function* count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      context.progress({ phase: "check", bytes, totalBytes: entry.bytes });
      yield chunk;
    }
  }
  const reader = new ByteReader(count(entry.open(signal)));
  try {
    const checked = await checkFile(entry, reader, context, signal);
    // To its end: a reader of the format may have stopped before.
    for await (const _ of reader.readAll());
    if (bytes !== entry.bytes) throw new HoldfastError("backup-damaged", `it has ${bytes} bytes instead of ${entry.bytes}`);
    return checked;
  } finally {
    await reader.close();
  }
}

async function checkFile(entry: StoredEntry, reader: ByteReader, context: DriverContext, signal: AbortSignal): Promise<CheckedEntry> {
  const start = Buffer.from(await reader.peek(headerBytes));
  const header = await readHeader(new ByteReader(Readable.from([start])));
  if (header === undefined) {
    const dump = new DumpReader();
    for await (const chunk of reader.readAll()) dump.push(chunk);
    return { reading: dump.finish(), notes: [] };
  }
  const tools = await findRestoreTool(header, signal);
  if (tools !== undefined) return { reading: await readThrough(tools, [], reader.readAll(), signal), notes: [] };
  const own = await readHeader(reader);
  const database = await readCustomArchive(reader, own ?? header);
  const note: Note = {
    level: "info",
    code: "read-without-pg-restore",
    message: `"${entry.name}" of "${context.name}" was read without pg_restore ${parseMajor(header)}, which is not installed here`,
  };
  return { reading: { kind: "database", databases: [database], roles: [] }, notes: [note] };
}

/** More than the longest header: three texts and some numbers. */
const headerBytes = 4096;

function parseMajor({ dumpVersion }: ArchiveHeader): number {
  return Number.parseInt(dumpVersion, 10) || 0;
}

/** Undefined where no installed pg_restore is new enough. */
async function findRestoreTool(header: ArchiveHeader, signal: AbortSignal): Promise<Toolset | undefined> {
  return await findTools({ alsoIn: listRememberedTools() }, "pg_restore", parseMajor(header), signal).catch((error: unknown) => {
    if (error instanceof HoldfastError && error.code === "tool-missing") return undefined;
    throw error;
  });
}

/** The archive as SQL, read to its end. `--list` would accept one that is cut (A8). */
async function readThrough(
  tools: Toolset,
  args: readonly string[],
  input: AsyncIterable<Uint8Array> | undefined,
  signal: AbortSignal,
): Promise<DumpReading> {
  const all = ["--file=-", ...args];
  await using program = openProgram(tools.path("pg_restore"), all, input === undefined ? {} : { stdin: "pipe" }, signal);
  const dump = new DumpReader();
  const { stdin, stdout } = program;
  // What breaks the pipe is told by the exit status; what fails at its other end is a failure of its own.
  const feeding = input === undefined || stdin === null ? Promise.resolve() : feed(input, stdin);
  feeding.catch(() => undefined);
  if (stdout !== null) for await (const chunk of stdout) dump.push(chunk as Uint8Array);
  await program.finished;
  await feeding;
  return dump.finish();
}

/** Reads the input to its end, whether the program wants all of it or not: tar leaves the padding of an archive alone. */
async function feed(input: AsyncIterable<Uint8Array>, stdin: Writable): Promise<void> {
  stdin.on("error", () => undefined);
  for await (const chunk of input) {
    if (stdin.destroyed || stdin.write(chunk) || stdin.destroyed) continue;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        stdin.off("drain", go).off("close", go);
        resolve();
      };
      stdin.on("drain", go).on("close", go);
    });
  }
  stdin.end();
}

async function checkDirectory(entry: StoredEntry, context: DriverContext, signal: AbortSignal): Promise<DumpReading> {
  const path = join(context.stagingDir, `check-${randomBytes(6).toString("hex")}`);
  try {
    await unpackDirectory(entry.open(signal), path, signal);
    const header = await readHeader(
      new ByteReader(createReadStream(join(path, "toc.dat"), { highWaterMark: headerBytes, end: headerBytes })),
    );
    if (header === undefined) throw new HoldfastError("backup-damaged", "its toc.dat is no archive of pg_dump");
    const tools = await findTools({ alsoIn: listRememberedTools() }, "pg_restore", parseMajor(header), signal);
    return await readThrough(tools, [path], undefined, signal);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}
