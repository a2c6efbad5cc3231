import type { ByteSource } from "../base/byte-source.ts";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import type { Contents } from "../base/contents.ts";
import type { Note } from "../base/note.ts";
import type { z } from "zod";
import type { RestoreOptions, RestoreSession, RestoreTarget, SwapStep } from "./restore-session.ts";
import type { OtherName, Retarget, Retargeted } from "./retarget.ts";
import type { FileAttributes, StoredEntry } from "./stored-entry.ts";

export type { RestoreOptions, RestoreSession, RestoreTarget, SavedMember, SwapStep, TargetFacts } from "./restore-session.ts";
export type { FileAttributes, StoredEntry } from "./stored-entry.ts";

/**
 * How the source stands while it is copied: `live`, at work; `paused`, frozen in mid-air, so that the copy is what a power cut would leave
 * (crash-consistent); `stopped`, shut down in good order.
 */
export type Copying = "live" | "paused" | "stopped";

/** What a driver is given besides its options. */
export interface DriverContext {
  /** The datastore's name in the config. */
  readonly name: string;
  /** A private, empty directory (mode 0700, root's) for this datastore and task; whoever made it removes it afterwards. */
  readonly stagingDir: string;
  /** How whoever asks keeps the source while `snapshot`, or else `dump`, runs; `live` when absent. */
  readonly copying?: Copying;
  /** Nothing about progress may throw. `bytes` counts plain bytes of the source read so far. */
  readonly progress: (progress: { readonly phase: string; readonly bytes?: number; readonly totalBytes?: number }) => void;
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
  /** The same of a dump after `snapshot`, where that is more. */
  readonly snapshotBytes?: number;
  /** The device number (`stat.dev`) of the source, for the same-disk warning. */
  readonly device?: number;
  readonly absent: boolean;
  readonly notes: readonly Note[];
}

export interface CheckResult {
  readonly contents: Contents;
  readonly notes: readonly Note[];
  /** A JSON-lines file in the staging directory that lists what a tree holds; see docs/FORMAT.md. Absent where a member has no tree. */
  readonly indexPath?: string;
}

/** A configured datastore. */
export interface Datastore extends AsyncDisposable {
  probe(signal: AbortSignal): Promise<ProbeFacts>;
  /**
   * Fixes the state that `dump` is to hand over; called at most once, before `dump`, where the source is held still only so long, or where
   * several are to share an instant. When it returns the source may go on: what `dump` reads lies in the staging directory, or in a session of
   * its own. A driver without it has to be dumped while the source is held.
   */
  snapshot?(signal: AbortSignal): Promise<void>;
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
   * `stage` reads what it is given to its end, its hashes and its format, and refuses what `check` refuses, before anything is replaced;
   * absent where a staged copy of hostile bytes could do harm by being unpacked. Then a restore only compares first what is stored.
   */
  readonly stageChecks?: "format";
  /** How its source may stand while it is copied, the usual way first; absent where every way is good and `live` the usual one. */
  waysToCopy?(options: Options): readonly [Copying, ...Copying[]];
  /** Whether what is there can be replaced only while its server stands still, which the config's `service` is then stopped for. */
  restoresStopped?(options: Options): boolean;
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
  /**
   * The options with which a backup can be restored to where it came from when there is no config: from what the manifest holds.
   * @param own how the datastore is configured now, where that is known, perhaps for another place than the backup's: of that only what
   * tells of programs on this machine is taken over
   */
  deriveOptions(
    entries: readonly { readonly name: string; readonly form: "file" | "tree"; readonly sourcePath: string }[],
    own?: unknown,
  ): unknown;
  /** Reads stored entries to their end and checks their format; needs no live datastore. */
  check(entries: AsyncIterable<StoredEntry>, context: DriverContext, signal: AbortSignal): Promise<CheckResult>;
  /**
   * Reads a stored tree to its end and refuses what must not be unpacked; hashes nothing. A driver that has it reads hashes and contents when
   * it stages a tree, before anything is replaced, so that a restore asks this alone first. @throws backup-damaged
   */
  refuseHostileTree?(entry: StoredEntry, signal: AbortSignal): Promise<void>;
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
  readonly waysToCopy: readonly [Copying, ...Copying[]];
  readonly restoresStopped: boolean;
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
  readonly refuseHostileTree: DatastoreSpec<unknown>["refuseHostileTree"];
  readonly selectInTree: DatastoreSpec<unknown>["selectInTree"];
  rollBack(steps: readonly SwapStep[], signal: AbortSignal, options?: unknown): Promise<void>;
  settle(steps: readonly SwapStep[], signal: AbortSignal, options?: unknown): Promise<void>;
}
