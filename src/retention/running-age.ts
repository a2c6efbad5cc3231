import { isJudgeable, type RetentionBackup } from "./verdict.ts";

/** No job runs less than yearly: a longer step between two consecutive backups is a wrong clock, or a machine that was off. */
const leapMs = 366 * 86_400_000;

/**
 * The age of an instant as `keepWithin` counts it: up to the newest good backup, not up to now, so that a stopped job never ages itself
 * away; and without leaps (see leapMs), so that one run under a clock ten years ahead does not expire everything made before it.
 * Leaps are found between consecutive sequence numbers only: removing backups never makes one, and what removing one of its ends
 * undoes was out of every window already. Hence the same verdicts again after a crash half-way through the removals.
 * @returns a function of milliseconds since the epoch, falling with time; instants after `newestGoodMs` have negative ages
 */
export function createRunningAge(backups: readonly RetentionBackup[], newestGoodMs: number): (epochMs: number) => number {
  const leaps = findLeaps(backups.filter(isJudgeable));
  return (epochMs) => {
    let ageMs = newestGoodMs - epochMs;
    let countedToMs = epochMs;
    for (const leap of leaps) {
      const startMs = Math.max(leap.startMs, countedToMs);
      const endMs = Math.min(leap.endMs, newestGoodMs);
      if (endMs <= startMs) continue;
      ageMs -= endMs - startMs;
      countedToMs = endMs;
    }
    return ageMs;
  };
}

interface Leap {
  readonly startMs: number;
  readonly endMs: number;
}

/** By start; they may overlap where a clock jumped to and fro. */
function findLeaps(backups: readonly RetentionBackup[]): Leap[] {
  const earliest = new Map<number, number>();
  for (const { sequence, createdAtMs } of backups) earliest.set(sequence, Math.min(earliest.get(sequence) ?? Infinity, createdAtMs));
  return backups
    .map(({ sequence, createdAtMs }) => ({ startMs: createdAtMs, endMs: earliest.get(sequence + 1) ?? createdAtMs }))
    .filter(({ startMs, endMs }) => endMs - startMs > leapMs)
    .sort((left, right) => left.startMs - right.startMs);
}
