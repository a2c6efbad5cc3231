import { constants, readFileSync } from "node:fs";
import { open, readdir, readFile, rmdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { makeDirectory, syncDirectory } from "../base/atomic-file.ts";
import { describeCause, HoldfastError, readErrno } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";

const hook = z.object({
  command: z.array(z.string()),
  runAs: z.string().exactOptional(),
  cwd: z.string().exactOptional(),
  /** Written as `***`: what runs a hook from here takes the values from the config (fill-hooks.ts). */
  env: z.record(z.string(), z.union([z.string(), z.instanceof(Secret)])).exactOptional(),
  timeoutMs: z.number(),
});

/** In their order; `planned` and `locked` are the queue's. `staged` is said when the staged copy has been compared, of each datastore. */
export const restorePhases = ["verified", "staged", "stopped", "saved", "swapped", "started", "healthy"] as const;

/** Strict: a field that this version does not know may change what has to be done. */
const recordSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("begin"),
    at: z.string(),
    id: z.string(),
    backup: z.string(),
    job: z.string(),
    datastores: z.array(z.string()),
    /** What each datastore was at the beginning, by the id of its concurrency key: the config may mean another server by the name later. */
    keys: z.record(z.string(), z.string()).exactOptional(),
    start: z.array(hook),
    stop: z.array(hook),
    /** Nothing starts the application; `start` may still hold the servers of the data. */
    application: z.literal("stays-stopped").exactOptional(),
  }),
  /** The application is being stopped: from here on it must be started again whatever happens. */
  z.strictObject({ type: z.literal("stopping") }),
  /** What was there before is a backup of its own: an undo finds it even if nobody else could note it. */
  z.strictObject({ type: z.literal("saved"), destination: z.string(), id: z.string(), name: z.string() }),
  /** About to be done; may or may not have happened. */
  z.strictObject({
    type: z.literal("step"),
    datastore: z.string(),
    kind: z.string(),
    step: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  }),
  /** The application is being started on the restored data: a rollback must stop it first. */
  z.strictObject({ type: z.literal("starting") }),
  /** For people and for status: how far it has come, durable before the next phase acts. What has to be undone follows from the others. */
  z.strictObject({
    type: z.literal("reached"),
    phase: z.enum(restorePhases),
    atMs: z.number(),
    /** Of the phases that each datastore reaches for itself. */
    datastore: z.string().exactOptional(),
  }),
  /**
   * All is swapped in and compared: never rolled back from here on. `settle`: what was put aside is saved elsewhere and may go. The data is
   * kept although the application could not be started (`unstarted`) or, as was asked for, is not well (`unhealthy`).
   */
  z.strictObject({
    type: z.literal("committed"),
    settle: z.boolean(),
    unstarted: z.string().exactOptional(),
    unhealthy: z.string().exactOptional(),
  }),
  /** The data is as it was: nothing of it may be touched again, only the application is still to be started. */
  z.strictObject({ type: z.literal("rolled-back") }),
  z.strictObject({ type: z.literal("end"), at: z.string(), outcome: z.enum(["done", "rolled-back"]), message: z.string() }),
]);

export type RestoreRecord = z.infer<typeof recordSchema>;

/**
 * The state machine of a restore, on disk, one JSON record a line:
 * begin → stopping → saved → step … → starting → committed → end; from any point before `committed`: rolled-back → end. Between them
 * `reached` tells the phases: verified → staged … → stopped → saved → swapped … → started → healthy.
 * Blank lines after the records are space that is held for the next ones, so that a full disk cannot keep a rollback from being noted.
 */
export interface RestoreJournal extends AsyncDisposable {
  /** Durable when it returns. When it throws the journal holds what it held before. Calls at the same time are carried out in their order. */
  append(record: RestoreRecord): Promise<void>;
}

const suffix = ".restore.jsonl";
const reservedBytes = 4096;

/** Where drivers put aside what cannot stay beside its target; it is there as long as something of a restore lies in it. */
export function restoreAsideDir(directory: string, id: string): string {
  return join(directory, `${id}.aside`);
}

/** To be called when a restore has been settled or rolled back. What is to be kept all the same stays. */
export async function removeAsideDir(directory: string, id: string): Promise<void> {
  try {
    await rmdir(restoreAsideDir(directory, id));
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(readErrno(error) ?? "")) throw error;
  }
}

/** Begins the journal of a restore. @throws conflict when there has been a restore with this id; no-space, restore-failed */
export async function createRestoreJournal(directory: string, id: string): Promise<RestoreJournal> {
  try {
    await makeDirectory(directory, 0o700);
    const file = await open(restoreJournalPath(directory, id), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    await syncDirectory(directory);
    return new JournalFile(file, 0);
  } catch (error) {
    if (readErrno(error) !== "EEXIST") throw explainWrite(error);
    throw new HoldfastError("conflict", `There is a journal of the restore ${id} already`, { cause: error });
  }
}

/** Goes on with the journal of a restore after its last whole record. */
export async function resumeRestoreJournal(directory: string, id: string): Promise<RestoreJournal> {
  const path = restoreJournalPath(directory, id);
  const { bytes } = parseJournal(await readFile(path), path);
  return new JournalFile(await open(path, constants.O_RDWR), bytes);
}

export function restoreJournalPath(directory: string, id: string): string {
  return join(directory, id + suffix);
}

/** Of the name of a file in a directory of journals; undefined of another file. */
export function restoreJournalId(name: string): string | undefined {
  return name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
}

/** The same as `readRestoreJournal`, at once: for a status, which must not change while it is read. They are small. */
export function readRestoreJournalNow(directory: string, id: string): readonly RestoreRecord[] {
  const path = restoreJournalPath(directory, id);
  try {
    return parseJournal(readFileSync(path), path).records;
  } catch {
    return []; // what cannot be read is told by whoever has to act upon it
  }
}

/** The records of a restore's journal; none where there is no journal, or none that can be read. */
export async function readRestoreJournal(directory: string, id: string): Promise<readonly RestoreRecord[]> {
  const path = restoreJournalPath(directory, id);
  try {
    return parseJournal(await readFile(path), path).records;
  } catch (error) {
    if (error instanceof HoldfastError || readErrno(error) === "ENOENT") return [];
    throw error;
  }
}

class JournalFile implements RestoreJournal {
  readonly #file: FileHandle;
  /** Bytes of the records. */
  #bytes: number;
  /** Bytes that the file is known to have, blank after the records. */
  #heldBytes: number;
  /** The end of the last append, however it went. */
  #last: Promise<void> = Promise.resolve();

  constructor(file: FileHandle, bytes: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#heldBytes = bytes;
  }

  append(record: RestoreRecord): Promise<void> {
    const appended = this.#last.then(() => this.#append(record));
    this.#last = appended.catch(() => undefined);
    return appended;
  }

  async #append(record: RestoreRecord): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    const isLast = record.type === "rolled-back" || record.type === "end";
    try {
      if (!isLast) await this.#hold(this.#bytes + line.length + reservedBytes);
      await this.#write(line, this.#bytes);
      await this.#file.datasync();
    } catch (error) {
      await this.#write(Buffer.alloc(line.length, "\n"), this.#bytes).catch(() => undefined);
      throw explainWrite(error);
    }
    this.#bytes += line.length;
    if (record.type === "end") await this.#file.truncate(this.#bytes);
  }

  async #hold(bytes: number): Promise<void> {
    if (this.#heldBytes >= bytes) return;
    await this.#write(Buffer.alloc(bytes + reservedBytes - this.#bytes, "\n"), this.#bytes);
    this.#heldBytes = bytes + reservedBytes;
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;)
      done += (await this.#file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

function explainWrite(error: unknown): HoldfastError {
  const errno = readErrno(error);
  const code = errno === "ENOSPC" || errno === "EDQUOT" ? "no-space" : "restore-failed";
  return new HoldfastError(code, `Cannot write the journal of the restore: ${describeCause(error)}`, { cause: error });
}

export interface UnfinishedRestore {
  readonly id: string;
  readonly records: readonly RestoreRecord[];
}

export interface FoundJournals {
  /** Without an end, oldest first. */
  readonly unfinished: readonly UnfinishedRestore[];
  /** Damaged, or of another version: nothing is known of what they would need. */
  readonly unreadable: readonly { readonly id: string; readonly error: HoldfastError }[];
}

export async function findUnfinishedRestores(directory: string): Promise<FoundJournals> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT") return [];
    throw error;
  });
  const unfinished: UnfinishedRestore[] = [];
  const unreadable: { id: string; error: HoldfastError }[] = [];
  for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
    const id = restoreJournalId(name);
    if (id === undefined) continue;
    const path = join(directory, name);
    try {
      const { records } = parseJournal(await readFile(path), path);
      if (records.length > 0 && records.at(-1)?.type !== "end") unfinished.push({ id, records });
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      unreadable.push({ id, error });
    }
  }
  return { unfinished, unreadable };
}

/**
 * A torn last line was never acted upon: its step had not begun.
 * @throws state-newer for a record of another version; state-corrupt for what no interruption leaves
 */
function parseJournal(text: Buffer, path: string): { readonly records: readonly RestoreRecord[]; readonly bytes: number } {
  const records: RestoreRecord[] = [];
  let bytes = 0;
  while (bytes < text.length) {
    const newline = text.indexOf("\n", bytes);
    if (newline === -1 || newline === bytes) break;
    const value = parseLine(text.toString("utf8", bytes, newline));
    if (value === undefined) break;
    const parsed = recordSchema.safeParse(value);
    if (!parsed.success) {
      throw new HoldfastError("state-newer", `The journal ${path} was written by another version`, {
        hint: "Start the version that made the restore, so that it ends it.",
      });
    }
    records.push(parsed.data);
    bytes = newline + 1;
  }
  const rest = text.toString("utf8", bytes).split("\n");
  if (rest.slice(1).some((line) => line !== "" && parseLine(line) !== undefined) || (records.length > 0 && records[0]?.type !== "begin")) {
    throw new HoldfastError("state-corrupt", `The journal ${path} is damaged at byte ${bytes}`, {
      hint: "Compare the data with what lies beside it under hidden names, put it right by hand, then move the journal away.",
    });
  }
  return { records, bytes };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
