/** What retention knows of a backup: facts of its manifest and events file, never of file times. */
export interface RetentionBackup {
  readonly id: string;
  readonly name: string;
  /** The manifest's time, milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** The job's running number; consecutive backups have consecutive numbers. */
  readonly sequence: number;
  readonly status: "ok" | "partial" | "failed";
  readonly verified: boolean;
  readonly suspect: boolean;
  readonly damaged: boolean;
  /** The datastores whose data it has: not those that were absent or left out. `holdsPart`: only some of it. */
  readonly holds: readonly string[];
  readonly holdsPart?: readonly string[];
  readonly pinned: boolean;
  /** Why it was pinned, for the reason shown. */
  readonly pinNote?: string;
  /** A restore, a drill, a verification or a copy is working with it. */
  readonly inUse: boolean;
  /** Made by the job whose policy is applied, on this machine. */
  readonly owned: boolean;
  readonly manifestReadable: boolean;
}

/** What retention says of a backup. */
export interface Verdict {
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly action: "keep" | "remove";
  /** At least one; for people. */
  readonly reasons: readonly string[];
}

/** Clocks of the machines involved may differ by this much before a backup counts as dated in the future. */
export const clockToleranceMs = 5 * 60_000;

const year9999Ms = Date.UTC(10_000, 0, 1);

/** Newest first, and total: equal times are ordered by sequence, then by id, so that the order given never matters. */
export function compareNewestFirst(left: RetentionBackup, right: RetentionBackup): number {
  return (
    compareNumbers(right.createdAtMs, left.createdAtMs) ||
    compareNumbers(right.sequence, left.sequence) ||
    compareTexts(right.id, left.id) ||
    compareTexts(right.name, left.name)
  );
}

/** Ours, readable and with a usable date: the only ones that a policy may judge. */
export function isJudgeable(backup: RetentionBackup): boolean {
  return backup.owned && backup.manifestReadable && hasUsableDate(backup);
}

/** The only ones that fill a rule's count. */
export function isGood(backup: RetentionBackup): boolean {
  return isJudgeable(backup) && backup.status === "ok" && backup.verified && !backup.suspect && !backup.damaged;
}

/** Why a judgeable backup is not a good one, in one word. */
export function describeDefect(backup: RetentionBackup): string {
  if (backup.damaged) return "damaged";
  if (backup.status !== "ok") return backup.status;
  return backup.suspect ? "suspect" : "unverified";
}

/** Why a backup may not be removed whatever the policy says; empty when the policy decides. */
export function listProtections(backup: RetentionBackup, nowMs: number): string[] {
  const reasons: string[] = [];
  if (!backup.owned) reasons.push("not made by this job on this machine");
  if (!backup.manifestReadable) reasons.push("its manifest cannot be read");
  if (backup.pinned) reasons.push(backup.pinNote ? `pinned: ${backup.pinNote}` : "pinned");
  if (backup.inUse) reasons.push("in use");
  if (!backup.manifestReadable) return reasons;
  if (!hasUsableDate(backup)) reasons.push("its date cannot be used");
  else if (!(backup.createdAtMs <= nowMs)) reasons.push("dated in the future");
  return reasons;
}

function hasUsableDate(backup: RetentionBackup): boolean {
  return Number.isSafeInteger(backup.createdAtMs) && backup.createdAtMs >= 0 && backup.createdAtMs < year9999Ms;
}

/** NaN sorts last, so that the order stays total. */
function compareNumbers(left: number, right: number): number {
  if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(right)) - Number(Number.isNaN(left));
  return left < right ? -1 : Number(left > right);
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
