import type { ErrorReport } from "../base/errors.ts";
import type { CatalogBackup, Backups } from "./backups-contract.ts";

export type {
  BackupClass,
  CatalogBackup,
  BackupFacts,
  CatalogMember,
  BackupMarks,
  BackupFilter,
  BackupScope,
  DestinationChanges,
  BackupHistory,
  Freeze,
  Backups,
} from "./backups-contract.ts";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * What is known of backups and runs. All calls are synchronous and durable when they return; the file has one writer, the daemon.
 * Backups can be read anew from the destinations; the rest is history. Instants are milliseconds since the epoch.
 * Every method may throw state-corrupt, no-space or busy.
 */
export interface Catalog extends Disposable {
  readonly backups: Backups;
  readonly runs: Runs;
  readonly slots: Slots;
  readonly audit: AuditTrail;
  readonly restores: Restores;
  readonly alarms: Alarms;
  readonly statistics: Statistics;
  readonly meta: Meta;
  /** Grows when the backups and runs of a job, or the slots, change: what was computed from them is right for as long as it stays the same. */
  revisionOf(subject: Subject): number;
  /** All changes that `work` makes, in whatever parts, or none when it throws. May be nested. */
  transact<Result>(work: () => Result): Result;
}

/** What a revision is of. */
export type Subject = `job:${string}` | "slots";

export type RunKind = "backup" | "restore" | "undo" | "verify" | "drill" | "remove" | "copy" | "scratch" | "unscratch";
export type RunState = "running" | FinalRunState;
export type FinalRunState = "ok" | "partial" | "suspect" | "failed" | "cancelled" | "interrupted" | "skipped" | "missed";

/** One execution of a job, or of a restore, verification, drill … */
export interface Run {
  readonly id: string;
  /** The queue's task; a task that is tried again has several runs. */
  readonly taskId: string;
  readonly attempt: number;
  readonly kind: RunKind;
  readonly job?: string;
  readonly trigger: string;
  readonly note?: string;
  readonly state: RunState;
  readonly startedAtMs: number;
  readonly finishedAtMs?: number;
  readonly backupId?: string;
  /** One line for people. */
  readonly summary: string;
  readonly error?: ErrorReport;
  readonly bytes?: number;
  readonly details: JsonValue;
  /** Of a `missed` run: how many slots it stands for. */
  readonly missedCount?: number;
}

export type RunOutcome = Pick<Run, "summary"> &
  Partial<Pick<Run, "backupId" | "error" | "bytes" | "details">> & { readonly state: FinalRunState; readonly finishedAtMs: number };

export interface RunFilter {
  readonly job?: string;
  readonly kind?: RunKind;
  readonly states?: readonly RunState[];
  readonly limit?: number;
}

export interface Runs {
  start(run: Omit<Run, "state" | "finishedAtMs" | "error" | "missedCount">): Run;
  /** @throws unknown-name; conflict when it is not running any more */
  finish(id: string, outcome: RunOutcome): Run;
  /** A run that never ran: skipped, or missed slots (one row with `missedCount`). @throws conflict when the id is taken */
  record(run: Run & { readonly state: FinalRunState }): void;
  get(id: string): Run | undefined;
  /** Newest first. */
  list(filter?: RunFilter): readonly Run[];
  findLast(job: string, kind: RunKind, states?: readonly RunState[]): Run | undefined;
  /** At start-up nothing can be running: ends every run that says so. @returns them as they are now, oldest first */
  interruptAll(atMs: number): readonly Run[];
  /** Forgets runs that ended before; the last one of each job, kind and state stays. @returns how many went */
  prune(beforeMs: number): number;
}

export type SlotPurpose = "backup" | "verify" | "drill";

/** What the schedule has to remember of a job. */
export interface Slot {
  /** Slots before are nobody's: the job was not there. */
  readonly firstSeenMs: number;
  /** The last slot that was run, skipped or recorded as missed. */
  readonly lastSlotMs?: number;
}

export interface Slots {
  get(job: string, purpose: SlotPurpose): Slot | undefined;
  /** Remembers `nowMs` as the first time unless there is one. */
  ensureSeen(job: string, purpose: SlotPurpose, nowMs: number): Slot;
  /** As given, even when it goes back: after a clock jump the schedule knows best. @throws unknown-name when it was never seen */
  setLast(job: string, purpose: SlotPurpose, slotMs: number): void;
  forget(job: string): void;
}

/** Something that happened, who did it to what, and how it ended. */
export interface AuditEvent {
  readonly atMs: number;
  /** A person (`uid 1000 (ada)`), `schedule`, `daemon` … */
  readonly actor: string;
  /** For example `backup.created`, `backup.removed`, `backup.verified`, `run.failed`. */
  readonly action: string;
  readonly subject: string;
  readonly outcome: "ok" | "failed" | "refused";
  readonly details: JsonValue;
}

export interface AuditFilter {
  readonly actor?: string;
  readonly action?: string;
  readonly subject?: string;
  readonly outcome?: AuditEvent["outcome"];
  /** From this instant on. */
  readonly sinceMs?: number;
  /** Before this instant. */
  readonly untilMs?: number;
}

export interface AuditTrail {
  record(event: AuditEvent): void;
  /** Newest first. */
  list(filter?: AuditFilter, limit?: number): readonly AuditEvent[];
  /** @returns how many went */
  prune(beforeMs: number): number;
}

/** A restore, for its undo. */
export interface Restore {
  readonly id: string;
  readonly runId: string;
  readonly backupId: string;
  readonly destination: string;
  readonly backupName: string;
  readonly job: string;
  /** What was restored into. */
  readonly datastores: readonly string[];
  /** Of which member of the backup, where that has another name. */
  readonly from?: Readonly<Record<string, string>>;
  /** Into a new database of this name on the datastore's server. */
  readonly databases?: Readonly<Record<string, string>>;
  /** Nobody was stopped; nor is anybody by its undo. */
  readonly hooks?: "none";
  /** Only these were restored of it. */
  readonly tables?: readonly string[];
  readonly paths?: readonly string[];
  readonly startedAtMs: number;
  readonly finishedAtMs?: number;
  readonly state: "running" | "done" | "rolled-back" | "failed";
  /** What was there before. */
  readonly preRestore?: { readonly destination: string; readonly id: string; readonly name: string };
  readonly undoneByRestoreId?: string;
}

export interface RestoreFilter {
  readonly job?: string;
  readonly states?: readonly Restore["state"][];
  readonly limit?: number;
}

export interface Restores {
  /** Adds it, or replaces the one with the same id. */
  put(restore: Restore): void;
  /** @throws unknown-name */
  update(id: string, change: Partial<Omit<Restore, "id">>): Restore;
  get(id: string): Restore | undefined;
  /** Newest first. */
  list(filter?: RestoreFilter): readonly Restore[];
}

/** A trouble that was told and is not over. */
export interface Alarm {
  readonly sinceMs: number;
  readonly lastToldMs: number;
  readonly detail: string;
}

export interface Alarms {
  get(key: string): Alarm | undefined;
  set(key: string, alarm: Alarm): void;
  /** @returns what it was, for the news of its end; undefined when there was none */
  clear(key: string): Alarm | undefined;
  /** By key. */
  list(): ReadonlyMap<string, Alarm>;
}

/** Of class `backup`, missing ones left out. */
export interface JobStatistics {
  /** Each counted once, however many copies there are. */
  readonly backups: number;
  readonly copies: number;
  /** Over all copies. */
  readonly storedBytes: number;
  readonly preRestoreBackups: number;
  readonly preRestoreBytes: number;
  readonly oldest?: CatalogBackup;
  readonly newest?: CatalogBackup;
  /** The one that `latest` means. */
  readonly newestGood?: CatalogBackup;
  /** When a backup was last read back and found right. */
  readonly lastVerifiedAtMs?: number;
  /** The backup that was last proven restorable. */
  readonly lastDrilled?: CatalogBackup;
  /** Of kind `backup`. */
  readonly lastRun?: Run;
}

export interface Statistics {
  /** @param host whose backups count */
  read(job: string, host?: string): JobStatistics;
}

/** Small facts of the daemon itself, for example the highest wall clock seen. */
export interface Meta {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}
