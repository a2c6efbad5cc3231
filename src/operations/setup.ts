import type { Compression } from "../archive/compression.ts";
import type { InfoFileName } from "../archive/info-files.ts";
import type { Manifest } from "../archive/manifest.ts";
import type { FixedCopy, Hook, StateQuestion } from "../config/config.ts";
import type { Occupied } from "../config/occupied-places.ts";
import type { Copying } from "../datastores/contract.ts";

/** A datastore as a task gets it: everything resolved, nothing looked up later. */
export interface DatastoreSetup {
  readonly name: string;
  readonly kind: string;
  readonly options: unknown;
  readonly shrink: ShrinkRule | "off";
  /** Overrides the backup's; see chooseCompression. */
  readonly compression?: Compression;
  /**
   * When it is not there: `fail` (the default) fails the run, `skip` leaves it out of a partial backup. `absent`: its absence is a fact to
   * keep, so that a restore brings it about again; for what is saved before a restore.
   */
  readonly onMissing?: "fail" | "skip" | "absent";
  /** How its source stands while it is copied; `live` when absent. */
  readonly copying?: Copying;
  /** How a backup makes it stand so; absent where it does by itself, or somebody else sees to it. */
  readonly hold?: HoldSetup;
  /** Somebody has seen that it is there, and is about to replace it: a driver that finds nothing cannot read it, whatever is optional. */
  readonly known?: "present";
}

/** How something is made to stand still, and to go on. */
export interface HoldSetup {
  /** Makes it stand still, in their order. */
  readonly engage: readonly Hook[];
  /** Lets it go on. Each is run whatever the others did. */
  readonly release: readonly Hook[];
  /** How long it may stand still, from the start of the first engage hook on. */
  readonly limitMs: number;
  /** Two with one key are about one service, which only one holds at a time; made of the hooks when absent. */
  readonly key?: string;
  /** Asks how it stands: what stands still already is left alone, and what was let go on has to run. Absent where nobody can be asked. */
  readonly ask?: StateQuestion;
  /** What `ask` says of it when it stands still; `stopped` by default. */
  readonly manner?: "stopped" | "paused";
}

export interface DestinationSetup {
  readonly name: string;
  readonly kind: string;
  readonly options: unknown;
}

/** A run is suspect when a datastore's plain bytes, or its rows or keys, fall below `ratio` × the median of its history, once that has `minHistory` entries. */
export interface ShrinkRule {
  readonly ratio: number;
  readonly minHistory: number;
}

/** What every task needs of its surroundings. */
export interface Surroundings {
  readonly host: string;
  /** Private to the task; removed by whoever made it. */
  readonly stagingDir: string;
  readonly version: string;
}

export interface BackupSetup extends Surroundings {
  readonly backupId: string;
  readonly job: string;
  readonly class: Manifest["class"];
  readonly trigger: string;
  readonly note: string | null;
  readonly folder: string;
  readonly layout: Manifest["layout"];
  readonly nameTemplate: string;
  /** IANA zone of names and info files. */
  readonly timezone: string;
  readonly compression: Compression;
  readonly infoFiles: readonly InfoFileName[];
  readonly datastores: readonly DatastoreSetup[];
  /** The datastores share one restore point: what freezes and thaws the application around their snapshots. */
  readonly group?: HoldSetup;
  /** Where what stands still is written down while it does; in the staging directory when absent. */
  readonly holdsDir?: string;
  readonly destination: DestinationSetup;
  /** Written once the backup is published. */
  readonly fixedCopies?: readonly FixedCopy[];
  /** What no fixed copy may replace. */
  readonly occupied?: readonly Occupied[];
  /** The job's config without secrets, for the manifest. */
  readonly config: unknown;
  readonly history: BackupHistory;
}

/** What came before, from the catalog. */
export interface BackupHistory {
  /** Of the job's newest backup at this destination; 0 when there is none. */
  readonly sequence: number;
  readonly previous: string | null;
  /** Plain bytes of each datastore in the last believed backups, newest first. */
  readonly sizes: Readonly<Record<string, readonly number[]>>;
  /** Rows or keys of each datastore in the same backups, newest first. */
  readonly items?: Readonly<Record<string, readonly number[]>>;
  /** The worst compression of each datastore in the same backups: stored by plain bytes. */
  readonly ratios?: Readonly<Record<string, number>>;
  /** Datastores of which a restore has left something that nobody has ended, with that as a reason to doubt what is in them. */
  readonly halfRestored?: Readonly<Record<string, string>>;
}

export interface Progress {
  readonly phase: string;
  readonly datastore?: string;
  readonly bytes?: number;
  readonly totalBytes?: number;
}

/** How a task speaks to whoever runs it; neither may throw. */
export interface TaskPorts {
  readonly now: () => number;
  readonly progress: (progress: Progress) => void;
  readonly log: (level: "info" | "warn" | "error", message: string, details?: Readonly<Record<string, unknown>>) => void;
}
