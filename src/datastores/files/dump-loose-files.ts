import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { explainSourceFault, explainStagingFault } from "../trees/explain-fault.ts";
import { findLooseFiles, type LooseFile } from "./find-loose-files.ts";
import { listKeptNot } from "./list-xattrs.ts";
import type { LooseOptions } from "./options.ts";
import { escapePath } from "../trees/raw-path.ts";
import { type LooseReading, openLooseReading } from "./read-loose-file.ts";

/** Files up to this size are copied first, so that one that changed meanwhile can be read again. */
export const copiedAtMostBytes = 64 * 1024 * 1024;

export interface LooseDump {
  readonly options: LooseOptions;
  readonly context: DriverContext;
  /** Closes what the dump holds. */
  readonly resources: AsyncDisposableStack;
  /** Told each file that the dump puts into the staging directory. */
  readonly staged: (path: string) => void;
  /** Which files are copied before they are stored. */
  readonly copied: "small" | "all";
}

/** What is collected over all files: the contents that a restored copy is compared with. */
class Collected {
  readonly digests: Record<string, string> = {};
  bytes = 0;

  add(name: string, bytes: number, sha256: string): void {
    this.digests[`file.${name}`] = sha256;
    this.bytes += bytes;
  }

  finish(): Contents {
    return { counts: { files: Object.keys(this.digests).length, bytes: this.bytes }, digests: this.digests, facts: {} };
  }
}

export async function* dumpLooseFiles(dump: LooseDump, signal: AbortSignal): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const { options } = dump;
  const found = lookForFiles(options);
  if (found.files.length === 0 && !options.allowEmpty) return { checked: true, notes: found.notes, absent: true };
  const notes: Note[] = [
    ...found.notes,
    ...(await listKeptNot(
      found.files.map(({ realPath }) => realPath),
      signal,
    )),
  ];
  const collected = new Collected();
  let unreadable: Error | undefined;
  for (const [index, file] of found.files.entries()) {
    if (signal.aborted) throw createAbortError(signal, "The dump was stopped");
    try {
      const entry = await openEntry(dump, file, index, collected, signal);
      if ("code" in entry) notes.push(entry);
      else yield entry;
    } catch (error) {
      if (readErrno(error) !== "EACCES" && readErrno(error) !== "EIO") throw explainSourceFault(error, file.path);
      unreadable ??= explainSourceFault(error, file.path);
      notes.push({ level: "partial", code: "file-unreadable", message: `${escapePath(file.path)} could not be read: ${readErrno(error)}` });
    }
    dump.context.progress({ phase: "read", bytes: collected.bytes });
  }
  if (unreadable !== undefined && Object.keys(collected.digests).length === 0) throw unreadable;
  return { contents: collected.finish(), checked: true, notes, absent: false };
}

/** Throws `source-missing` when something that is not optional is not there. */
export function lookForFiles(options: LooseOptions): ReturnType<typeof findLooseFiles> {
  let found: ReturnType<typeof findLooseFiles>;
  try {
    found = findLooseFiles(options);
  } catch (error) {
    throw explainSourceFault(error, typeof error === "object" && error !== null && "path" in error ? String(error.path) : "the files");
  }
  if (found.missing.length > 0 && !options.allowEmpty) {
    throw new HoldfastError("source-missing", `Cannot dump "${found.missing.join('", "')}": nothing is there`, {
      hint: "Set `optional: true` where its absence is normal.",
    });
  }
  return found;
}

/** A note instead of an entry when the file is gone. Throws system errors of reading it. */
async function openEntry(
  dump: LooseDump,
  file: LooseFile,
  index: number,
  collected: Collected,
  signal: AbortSignal,
): Promise<DumpEntry | Note> {
  const vanished: Note = { level: "partial", code: "file-vanished", message: `${escapePath(file.path)} vanished before it was read` };
  for (let attempt = 0; ; attempt += 1) {
    let reading: LooseReading | undefined;
    try {
      reading = await openLooseReading(file);
    } catch (error) {
      // ELOOP: a link has taken its place.
      if (readErrno(error) === "ENOENT" || readErrno(error) === "ELOOP" || readErrno(error) === "ENXIO") return vanished;
      throw error;
    }
    if (reading === undefined) return vanished;
    if (dump.copied === "small" && reading.takenBytes > copiedAtMostBytes) {
      dump.resources.use(reading);
      return describeEntry(file, reading, { kind: "stream", open: (inner) => reading.read(inner) }, async () => {
        const { sha256, change, notes } = await reading.finish();
        collected.add(file.name, reading.readBytes, sha256);
        return change === undefined ? notes : [...notes, change];
      });
    }
    await using closing = reading;
    const path = join(dump.context.stagingDir, `file-${index}`);
    dump.staged(path);
    const copied = await copyReading(closing, path, signal);
    if (copied.change !== undefined && attempt < dump.options.maxChangeRetries) continue;
    const notes = copied.change === undefined ? copied.notes : [...copied.notes, copied.change];
    const bytes = closing.readBytes;
    collected.add(file.name, bytes, copied.sha256);
    return describeEntry(file, closing, { kind: "file", path, bytes }, () => Promise.resolve(notes));
  }
}

function describeEntry(file: LooseFile, reading: LooseReading, body: DumpEntry["body"], finish: DumpEntry["finish"]): DumpEntry {
  const { stat } = reading;
  const attributes = { mode: Number(stat.mode & 0o7777n), uid: Number(stat.uid), gid: Number(stat.gid), mtimeNs: String(stat.mtimeNs) };
  return { name: file.name, form: "file", body, sourcePath: file.path, attributes, finish };
}

async function copyReading(reading: LooseReading, path: string, signal: AbortSignal): ReturnType<LooseReading["finish"]> {
  await using copy = await withStagingFaults(path, () => open(path, "w", 0o600));
  for await (const piece of reading.read(signal)) await withStagingFaults(path, () => copy.writeFile(piece));
  return await reading.finish();
}

async function withStagingFaults<Result>(path: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw explainStagingFault(error, path);
  }
}
