export type BackupClass = "backup" | "pre-restore";

/** One copy of a backup: the same id may stand at several destinations. */
export interface CatalogBackup extends BackupFacts, BackupMarks {}

/** What the manifest says, and where it is. */
export interface BackupFacts {
  readonly id: string;
  readonly job: string;
  /** The machine that made it; not known of backups that an older version has put on record, which count as anybody's. */
  readonly host?: string;
  readonly class: BackupClass;
  readonly destination: string;
  /** "" or a relative path at the destination. */
  readonly folder: string;
  readonly name: string;
  readonly layout: "directory" | "archive" | "file";
  readonly manifestKey: string;
  readonly manifestSha256: string;
  readonly sequence: number;
  readonly createdAtMs: number;
  readonly finishedAtMs: number;
  readonly status: "ok" | "partial";
  /** Why it is suspect; empty for a run like the ones before. */
  readonly suspect: readonly string[];
  readonly note: string | null;
  readonly trigger: string;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly members: readonly CatalogMember[];
  /** One restore point of all members: between these instants, while the application was frozen. */
  readonly group?: { readonly firstAtMs: number; readonly lastAtMs: number; readonly frozenMs: number };
}

export interface CatalogMember {
  readonly datastore: string;
  readonly kind: string;
  readonly status: "ok" | "partial" | "absent" | "failed";
  readonly plainBytes: number;
  /** Not known of backups that an older version has put on record. */
  readonly storedBytes?: number;
  readonly entries: number;
  /** Rows, or keys without a time to live; absent where they are not counted, or not known. */
  readonly items?: number;
  /** When its state was fixed, where that was before it was dumped or while it was held still, and for how long it was. */
  readonly snapshot?: { readonly atMs: number; readonly copying: "live" | "paused" | "stopped"; readonly heldMs?: number };
}

/** What came later, from the events file. */
export interface BackupMarks {
  /** Why it must stay; null when it is not pinned. */
  readonly pinned: string | null;
  readonly verifiedAtMs: number | null;
  readonly drilledAtMs: number | null;
  readonly drillMs: number | null;
  readonly damaged: string | null;
  /** Why a suspect one is believed after all. */
  readonly accepted: string | null;
  /** Since when it is known not to be at its destination any more. */
  readonly missingSinceMs: number | null;
}

export interface BackupFilter {
  readonly job?: string;
  readonly destination?: string;
  readonly class?: BackupClass;
  /** With a member of this datastore. */
  readonly datastore?: string;
  /** Made by this machine. */
  readonly host?: string;
  readonly limit?: number;
}

/** Where a name is looked for. */
export interface BackupScope {
  readonly job?: string;
  readonly destination?: string;
  readonly host?: string;
}

export interface DestinationChanges {
  readonly added: readonly CatalogBackup[];
  /** As they are now. */
  readonly changed: readonly CatalogBackup[];
  /** As they were; the catalog has forgotten them. */
  readonly vanished: readonly CatalogBackup[];
}

/** What a new backup is compared with. */
export interface BackupHistory {
  /** The highest of the job at the destination; 0 when there is none. */
  readonly sequence: number;
  /** The manifest's hash of the backup with that sequence. */
  readonly previous: string | null;
  /**
   * Plain bytes of each datastore in the last believed backups, newest first. Believed: class `backup`, not suspect or accepted, neither
   * damaged nor missing. Partial ones count: a log that changes in every run must not keep a job without a history. A shrink or an
   * absence that was accepted is the beginning of that datastore's history: it is not reported twice.
   */
  readonly sizes: Readonly<Record<string, readonly number[]>>;
  /** Rows or keys of each datastore in the same backups, newest first. */
  readonly items: Readonly<Record<string, readonly number[]>>;
  /** The worst compression of each datastore in the same backups: stored by plain bytes. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** Why a job's retention does nothing. */
export interface Freeze {
  readonly reason: string;
  readonly backupId: string;
}

export interface Backups {
  /** Adds it, or replaces the one with the same destination and id. */
  put(backup: CatalogBackup): void;
  /** @returns the backup as it is now; undefined when it is not in the catalog (any more) */
  mark(destination: string, id: string, marks: Partial<BackupMarks>): CatalogBackup | undefined;
  /** @returns whether it was there */
  remove(destination: string, id: string): boolean;
  get(destination: string, id: string): CatalogBackup | undefined;
  /** Newest first; ones known to be missing are among them. */
  find(filter?: BackupFilter): readonly CatalogBackup[];
  /**
   * Finds the one that a person means by an id, the beginning of an id (at least six characters), a name with or without its suffix, a
   * path, the time at the end of its name, or `latest`: the newest of class `backup` that is `ok`, verified, not damaged, not missing, not
   * suspect or accepted.
   * Of copies at several destinations an intact one is taken.
   * @param scope with a host, `latest` prefers what that machine made: several may keep backups of one job's name at one destination
   * @throws backup-not-found, ambiguous-name (with the candidates in `details`)
   */
  resolve(text: string, scope?: BackupScope): CatalogBackup;
  /**
   * Makes the catalog say of a destination what was just read there, all or nothing. The caller must have seen the whole destination:
   * what is not in the list is forgotten.
   */
  replaceDestination(destination: string, backups: readonly CatalogBackup[]): DestinationChanges;
  /** @param limit how many backups count for `sizes` and `ratios` */
  readHistory(from: { readonly job: string; readonly destination: string; readonly host?: string }, limit: number): BackupHistory;
  /** Defined from a suspect backup until it, or a later one, is accepted or a later one is good. @param host whose backups count */
  findFreeze(job: string, host?: string): Freeze | undefined;
}
