import type { Compression } from "../archive/compression.ts";
import type { InfoFileName } from "../archive/info-files.ts";
import type { Manifest } from "../archive/manifest.ts";
import type { FixedCopy } from "../config/config.ts";
import type { Occupied } from "../config/occupied-places.ts";

/** A datastore as a task gets it: everything resolved, nothing looked up later. */
export interface DatastoreSetup {
  readonly name: string;
  readonly kind: string;
  readonly options: unknown;
  readonly shrink: ShrinkRule | "off";
  /**
   * When it is not there: `fail` (the default) fails the run, `skip` leaves it out of a partial backup. `absent`: its absence is a fact to
   * keep, so that a restore brings it about again; for what is saved before a restore.
   */
  readonly onMissing?: "fail" | "skip" | "absent";
  /** Somebody has seen that it is there, and is about to replace it: a driver that finds nothing cannot read it, whatever is optional. */
  readonly known?: "present";
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
