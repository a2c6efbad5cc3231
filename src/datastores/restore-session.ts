import type { Contents } from "../base/contents.ts";
import type { Note } from "../base/note.ts";
import type { StoredEntry } from "./stored-entry.ts";

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
  /** Of the parts, those that the backup has nothing of: a restore that keeps what is beyond it is refused for them. Changes nothing. */
  findUnmet?(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<readonly string[]>;
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
