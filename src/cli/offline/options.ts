/**
 * What every offline verb reads: a backup's directory, file or manifest, or a directory with backups somewhere below it.
 * Needs no daemon, catalog, marker or config.
 */
export interface OfflinePlace {
  readonly path: string;
  /** Where `path` holds several backups: a name, an id, or `latest`. */
  readonly backup?: string;
  /** Only backups of this job. */
  readonly job?: string;
}

export interface OfflineListOptions extends OfflinePlace {
  readonly preRestore?: boolean;
  /** At most so many, newest first; as it was typed. */
  readonly limit?: string;
}

export interface OfflineShowOptions extends OfflinePlace {
  /** Prints this generated text of the backup instead: `backup_info.txt`, `RESTORE.txt`. */
  readonly text?: string;
}

export interface OfflineVerifyOptions extends OfflinePlace {
  readonly all?: boolean;
}

export interface OfflineRestoreOptions extends OfflinePlace {
  /** Only these datastores of the backup. */
  readonly only?: readonly string[];
  /** Only these tables of the one datastore. */
  readonly tables?: readonly string[];
  /** Only these paths or globs of the one datastore. */
  readonly paths?: readonly string[];
  /** Restore below this empty or absent directory, and leave the original places alone. */
  readonly to?: string;
  /** Where the present data is saved first; `<stateDir>/pre-restore` by default. */
  readonly saveTo?: string;
  /** Only tells what would be done. */
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly acceptDoubtful?: boolean;
  /** `raw`: present data that cannot be backed up is left aside as it is. */
  readonly unsavable?: "refuse" | "raw";
  /** `no`: the stopped application is not started again. */
  readonly start?: "yes" | "no";
  /** `yes`: the restored data stays when a check fails. */
  readonly keep?: "yes" | "no";
}

export interface OfflineRebuildOptions {
  readonly yes?: boolean;
}
