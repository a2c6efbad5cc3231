import type { ByteSource } from "../base/byte-source.ts";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import type { Contents } from "../base/contents.ts";
import type { Note } from "../base/note.ts";
import type { z } from "zod";
import type { OtherName, Retarget, Retargeted } from "./retarget.ts";

/** What a driver is given besides its options. */
export interface DriverContext {
  /** The datastore's name in the config. */
  readonly name: string;
  /** A private, empty directory (mode 0700, root's) for this datastore and task; whoever made it removes it afterwards. */
  readonly stagingDir: string;
  /** Nothing about progress may throw. `bytes` counts plain bytes of the source read so far. */
  readonly progress: (progress: { readonly phase: string; readonly bytes?: number; readonly totalBytes?: number }) => void;
}

/** Attributes of a source file; a restore gives them back. */
export interface FileAttributes {
  /** Permission bits including set-uid, set-gid and sticky: `mode & 0o7777`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since the epoch, decimal text (it does not fit a double). */
  readonly mtimeNs: string;
}

/** One file of a member, as it goes into the backup. */
export interface DumpEntry {
  /** Path in the member: relative, `/`-separated, without `.` or `..`, unique in the member, UTF-8. */
  readonly name: string;
  /** `file`: restored as this one file. `tree`: a POSIX tar stream of a directory tree. */
  readonly form: "file" | "tree";
  readonly body: ByteSource;
  /** Where it came from, for RESTORE.txt and for a restore without a config. */
  readonly sourcePath: string;
  /** Of the source when it was opened; absent for trees, whose tar holds them. */
  readonly attributes?: FileAttributes;
  /**
   * To be called once, after the body has been read to its end. Tells what happened while it was read (changed, cut at a whole line).
   * Throws when the copy must not be used.
   */
  finish(): Promise<readonly Note[]>;
}

/** The outcome of a dump: the generator's return value. */
export interface DumpFacts {
  /** Absent when they are only known from reading the stored bytes (trees): then `check` gives them. */
  readonly contents?: Contents;
  /** True when the driver has checked the format of exactly the bytes that it handed over; a read-back then compares hashes only. */
  readonly checked: boolean;
  readonly notes: readonly Note[];
  /** An optional datastore that is not there: no entries, and a restore re-creates its absence. */
  readonly absent: boolean;
}

export interface ProbeFacts {
  /** For people: "SQLite database, 12.3 MiB, WAL, 3 tables". */
  readonly summary: string;
  /** Upper estimate of plain bytes that a dump yields; undefined when it cannot be known. */
  readonly estimatedBytes?: number;
  /** Bytes that a dump needs in the staging directory. */
  readonly stagingBytes: number;
  /** The device number (`stat.dev`) of the source, for the same-disk warning. */
  readonly device?: number;
  readonly absent: boolean;
  readonly notes: readonly Note[];
}

/** A stored entry on its way back; bodies are decompressed and already verified against the manifest. Read each body before the next. */
export interface StoredEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  readonly bytes: number;
  readonly sourcePath: string;
  readonly attributes?: FileAttributes;
  /** Of the member that it belongs to, where a manifest has told them. */
  readonly contents?: Contents;
  readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

export interface CheckResult {
  readonly contents: Contents;
  readonly notes: readonly Note[];
  /** A JSON-lines file in the staging directory that lists what a tree holds; see docs/FORMAT.md. Absent where a member has no tree. */
  readonly indexPath?: string;
}

/** One step of a swap, recorded durably before it is done. Its shape is the driver's own; it must survive JSON. */
export type SwapStep = Readonly<Record<string, string | number | boolean | null>>;

/** What is there now, before a restore. */
export interface TargetFacts {
  readonly summary: string;
  readonly present: boolean;
  /** Said of what is there and empty: a dump may call it absent, and loses nothing by that. */
  readonly holds?: "nothing";
  readonly bytes: number;
  /** How the restore will be made, for people: "replaces the file", "writes into the live database in one transaction". */
  readonly method: string;
  /** Bytes needed beside the target for the staging copy. */
  readonly neededBytes: number;
  readonly notes: readonly Note[];
  /** Process ids that have the target open. */
  readonly users: readonly number[];
  /** The newest change that was seen in what is there; absent where it is not known. Never a guess. */
  readonly newestChangeAtMs?: number;
  /** What else is known of when it changed, for people, where no instant is. */
  readonly changes?: string;
  /** A directory on the disk that `neededBytes` are needed of; absent where that is a server's own. */
  readonly neededAt?: string;
  /** What a backup of it holds at most, in plain bytes, where that is not `bytes`: holes of files are not stored. */
  readonly saveBytes?: number;
  /** What a backup of it needs in the staging directory. */
  readonly saveStagingBytes?: number;
}

/**
 * `original`: where the datastore lives, by its options. `directory`: a place of its own, made by us, that gets the files of the backup
 * (`--to`). `scratch`: the same for a drill, where a server's data is loaded into a server of its own, started there and gone when the
 * session is closed.
 */
export type RestoreTarget = { readonly kind: "original" } | { readonly kind: "directory" | "scratch"; readonly path: string };

export interface RestoreOptions {
  readonly absent: boolean;
  /**
   * The backup is of another datastore: what this one would not back up itself is refused, because its undo would not take it away.
   * False by default.
   */
  readonly foreign?: boolean;
  /**
   * Only these parts (tables, or paths and globs) of the datastore, the rest untouched; all of it when absent. Never given to drivers that
   * declare none. Then `stage` and `summarize` tell the contents of the parts alone, under the names that the manifest has for them, or as
   * `expectedOfParts` tells them.
   */
  readonly parts?: readonly string[];
  /** What becomes of that which is there now, belongs to the parts and is not in the backup; `keep` by default. */
  readonly beyond?: "keep" | "remove";
  /**
   * `may-run`: nobody has stopped the application. That nothing has the target open now proves nothing: a program that opens it for each
   * operation may come at any moment, so no name may be free or hold half of the data even for an instant. `stopped` by default.
   */
  readonly application?: "stopped" | "may-run";
  /**
   * Makes a step durable before a staging copy is made beside the target, so that a roll-back finds it when the process dies; absent for
   * targets that go away as a whole.
   */
  readonly record?: (step: SwapStep) => Promise<void>;
  /**
   * Where what was there may be put aside that cannot stay beside the target: it outlives the task, until the restore has ended. Made by
   * the driver that needs it (mode 0700), which leaves it empty when it has settled or rolled back. Absent where `record` is.
   */
  readonly asideDir?: string;
}

/** What the backup that is made before a restore holds of a datastore. */
export interface SavedMember {
  /** `absent`: there was nothing to save. */
  readonly status: "ok" | "partial" | "absent";
  readonly contents: Contents;
  readonly entries: readonly { readonly name: string; readonly sourcePath: string }[];
}

/**
 * A restore of one member into one target: inspect, stage, then swap. Until `swap` is called the target is untouched.
 * Closing removes the staging copy unless it has been swapped in; it never removes what `swap` put aside.
 */
export interface RestoreSession extends AsyncDisposable {
  inspect(signal: AbortSignal): Promise<TargetFacts>;
  /**
   * Counts what is there now, under the names that a manifest has for it (`rows.T`, `keys.dbN`, `files`), for the plan of a restore. Changes
   * nothing, and holds nobody up for long: undefined where that cannot be had. Drivers whose `inspect` counts nothing have none.
   */
  count?(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined>;
  /** Writes the staging copy (beside the target where a rename is to follow), makes it durable, and reads its contents from the copy. */
  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents>;
  /** What the parts must hold, where a manifest tells only the whole: told by the stored bytes themselves. Valid after `stage`. */
  expectedOfParts?(): Contents | undefined;
  /**
   * Compares what `swap` is about to replace with what has been saved of the present data, and changes nothing. Called once, between `stage`
   * and `swap`, unless the user has given up what cannot be saved. Drivers whose dump reads just what their restore replaces have none.
   * @throws target-unsafe naming what is there and is not saved; target-in-use for what has come into being meanwhile
   */
  assertSaved?(saved: SavedMember, signal: AbortSignal): Promise<void>;
  /**
   * Puts the staged copy in place. `record` makes a step durable; every change of the target is recorded before it is made.
   * What was there is put aside, not removed. For an absent member (`stage` was given no entries and `absent` is set) it puts aside only.
   */
  swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Reads the contents of the target itself, after the swap. */
  summarize(signal: AbortSignal): Promise<Contents>;
  /**
   * Called when the application has been started again, by drivers whose server may start from something else than what was put in place.
   * Others may have written by then. `unknown`: it does not run, so nothing is proven.
   * @throws restore-failed when it runs on other data
   */
  confirm?(signal: AbortSignal): Promise<"proven" | "unknown">;
}

/** A configured datastore. */
export interface Datastore extends AsyncDisposable {
  probe(signal: AbortSignal): Promise<ProbeFacts>;
  /** May be called once. Ending early stops its children. Everything it stages lies in the context's staging directory. */
  dump(signal: AbortSignal): AsyncGenerator<DumpEntry, DumpFacts, undefined>;
  openRestore(target: RestoreTarget, options: RestoreOptions, signal: AbortSignal): Promise<RestoreSession>;
  /**
   * Asks the live datastore something and changes nothing; by drivers that declare `queries`. Gives the first column of the first row as
   * text, null where that is NULL or there is no row.
   */
  query?(sql: string, signal: AbortSignal): Promise<string | null>;
}

/** What a path or glob means in a stored tree. */
export interface TreeSelection {
  readonly files: number;
  /** Directories and links. */
  readonly others: number;
  /** Whether it is the very name of something, and no glob. */
  readonly byName: boolean;
  /** The plain tar of all of it, with the directories above. */
  readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

export type PartsKind = "tables" | "paths";
export interface DatastoreSpec<Options> {
  readonly kind: string;
  /** One sentence for the config reference. */
  readonly description: string;
  readonly options: z.ZodType<Options>;
  /** What can be restored alone; absent when the driver restores a datastore as a whole only. */
  readonly parts?: PartsKind;
  /**
   * `stage` reads the format of what it is given to its end and refuses what `check` refuses; absent where a staged copy of hostile bytes
   * could do harm by being unpacked. Then a restore need not have the bytes checked by `check` first.
   */
  readonly stageChecks?: "format";
  /** The language in which an open datastore can be asked (`query`); absent when it cannot. */
  readonly queries?: "sql";
  /** Paths that a datastore reads or replaces, as the config names them (globs as their fixed part), for checks of unit sandboxes and overlaps. */
  sourcePaths(options: Options): readonly string[];
  /** Resolves links, so that two names of one physical datastore give one key. Works when the datastore is absent. */
  identify(options: Options, signal: AbortSignal): Promise<ConcurrencyKey>;
  open(options: Options, context: DriverContext): Promise<Datastore>;
  /**
   * Of two keys' ids that `identify` gave: whether they are of different servers, for a backup that is about to go to another one than it
   * came from. Absent where an id says nothing of that: a file gets a new one with each restore.
   */
  isOtherServer?(id: string, other: string): boolean;
  /**
   * The same place with another name in it, which is to be made: for a server that keeps several. Absent where a datastore is a place of its
   * own. @throws usage for a name that cannot be, or options that mean several
   */
  readonly retarget?: (options: Options, to: OtherName) => Retarget;
  /** The options with which a backup can be restored to where it came from when there is no config: from what the manifest holds. */
  deriveOptions(entries: readonly { readonly name: string; readonly form: "file" | "tree"; readonly sourcePath: string }[]): unknown;
  /** Reads stored entries to their end and checks their format; needs no live datastore. */
  check(entries: AsyncIterable<StoredEntry>, context: DriverContext, signal: AbortSignal): Promise<CheckResult>;
  /** Chooses paths of a stored tree, which is read to its end and refused where it is hostile; for kinds that have trees. */
  selectInTree?(entry: StoredEntry, path: string, signal: AbortSignal): Promise<TreeSelection>;
  /**
   * Undoes a swap by its recorded steps. Idempotent, and safe at every point at which the swap may have stopped.
   * @param options of the datastore as it is configured now, for drivers that must connect to a server: steps hold no secrets
   */
  rollBack(steps: readonly SwapStep[], signal: AbortSignal, options: Options | undefined): Promise<void>;
  /** Removes what a finished swap put aside. Idempotent. */
  settle(steps: readonly SwapStep[], signal: AbortSignal, options: Options | undefined): Promise<void>;
}

/** A driver with its options closed over; the rest of the program never sees them. */
export interface ConfiguredDatastore {
  readonly kind: string;
  readonly sourcePaths: readonly string[];
  identify(signal: AbortSignal): Promise<ConcurrencyKey>;
  open(context: DriverContext): Promise<Datastore>;
}

export interface DatastoreDriver {
  readonly kind: string;
  readonly description: string;
  /** For the generated config schema. */
  readonly optionsSchema: z.ZodType;
  readonly parts: PartsKind | undefined;
  readonly stageChecks: "format" | undefined;
  readonly queries: "sql" | undefined;
  /** Throws `config-invalid` when the options do not fit the schema. */
  configure(options: unknown): ConfiguredDatastore;
  isOtherServer(id: string, other: string): boolean;
  /** Absent where the driver has none. */
  readonly retarget: ((options: unknown, to: OtherName) => Retargeted) | undefined;
  readonly deriveOptions: DatastoreSpec<unknown>["deriveOptions"];
  readonly check: DatastoreSpec<unknown>["check"];
  readonly selectInTree: DatastoreSpec<unknown>["selectInTree"];
  rollBack(steps: readonly SwapStep[], signal: AbortSignal, options?: unknown): Promise<void>;
  settle(steps: readonly SwapStep[], signal: AbortSignal, options?: unknown): Promise<void>;
}
