import { describeDuration } from "../base/parse-duration.ts";
import { describeAge } from "../base/describe-amount.ts";
import {
  clockToleranceMs,
  compareNewestFirst,
  describeDefect,
  isJudgeable,
  listProtections,
  type RetentionBackup,
  type Verdict,
} from "./verdict.ts";

export interface UndoRetentionInput {
  /** The pre-restore backups of one datastore set; no job's retention ever sees them. */
  readonly backups: readonly RetentionBackup[];
  readonly nowMs: number;
  /** Default: 14 days. Counted up to now: an undo expires. */
  readonly keepForMs?: number;
  /** Default: 3. Only undamaged ones count. */
  readonly keepLast?: number;
}

/**
 * Which pre-restore backups stay, newest first: those younger than `keepForMs`, and the last `keepLast` whatever their age; never removed
 * are pinned, in use, not owned, unreadable ones, and nothing is while the clock is behind one of them.
 */
export function decideUndoRetention(input: UndoRetentionInput): Verdict[] {
  const { nowMs, keepForMs = 14 * 86_400_000, keepLast = 3 } = input;
  const ordered = input.backups.toSorted(compareNewestFirst);
  const newest = ordered.find(isJudgeable);
  const behindMs = newest === undefined ? 0 : newest.createdAtMs - nowMs;
  let newerUsable = 0;
  return ordered.map((backup) => {
    const { id, name, createdAtMs } = backup;
    const reasons = listProtections(backup, nowMs);
    if (isJudgeable(backup)) {
      if (nowMs - createdAtMs < keepForMs) reasons.push(`younger than ${describeDuration(keepForMs)}`);
      const isUsable = backup.status !== "failed" && !backup.damaged;
      if (isUsable) newerUsable += 1;
      if (isUsable && newerUsable <= keepLast) reasons.push(`last ${newerUsable} of ${keepLast}`);
      if (!isUsable && newerUsable < keepLast) reasons.push(`${describeDefect(backup)}, but among the last ${keepLast}`);
    }
    if (reasons.length > 0) return { id, name, createdAtMs, action: "keep", reasons };
    if (behindMs > clockToleranceMs) {
      const reason = `retention is frozen: the clock is behind backup "${newest?.name ?? ""}" by ${describeAge(behindMs)}`;
      return { id, name, createdAtMs, action: "keep", reasons: [reason] };
    }
    return { id, name, createdAtMs, action: "remove", reasons: [`its undo expired (${describeDuration(keepForMs)}, last ${keepLast})`] };
  });
}
