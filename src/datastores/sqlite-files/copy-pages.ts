import type Database from "better-sqlite3";
import { HoldfastError } from "../../base/errors.ts";
import { blockFor } from "./block.ts";
import { readNumber } from "./open-database.ts";

export interface CopyPace {
  /** On the clock of `performance.now()`; past it the copy fails with `timeout`. */
  readonly deadlineAt: number;
  /** The copy gives up when it takes, or will clearly take, longer than this. */
  readonly maxHoldMs: number | undefined;
  /** Undefined: as many as a step of about `stepMs` copies. */
  readonly pagesPerStep: number | undefined;
  readonly maxRestarts: number;
}

export type CopyOutcome =
  | {
      readonly outcome: "copied";
      readonly restarts: number;
      readonly longestStepMs: number;
      readonly pagesPerMs: number;
      readonly forecastMs: number;
    }
  | {
      readonly outcome: "gave-up";
      readonly restarts: number;
      readonly longestStepMs: number;
      readonly pagesPerMs: number;
      readonly forecastMs: number;
    };

/** Between two steps the process can notice that it is to end. */
const stepMs = 25;
const firstPages = 256;
/** How long a stepped copy leaves the database alone between two steps: SQLite's busy handler looks again after 100 ms at the latest. */
const gapMs = 120;
/** A forecast is believed after this long. */
const forecastAfterMs = 300;

class GaveUp extends Error {}

/**
 * Copies every page with SQLite's backup API to a file that does not exist yet. SQLite reports a source that is locked at the start
 * as a finished backup of no pages; here that is `gave-up`.
 */
export async function copyPages(
  source: Database.Database,
  copy: string,
  pace: CopyPace,
  report: (bytes: number, totalBytes: number) => void,
): Promise<CopyOutcome> {
  const pageBytes = readNumber(source, "page_size");
  const startedAt = performance.now();
  let stepStartedAt = startedAt;
  let pages = pace.pagesPerStep ?? firstPages;
  let copiedBefore = -1;
  // The last step is not followed by a look at the clock, so it must be short against the hold.
  const wantedStepMs = Math.min(stepMs, (pace.maxHoldMs ?? Number.POSITIVE_INFINITY) / 4);
  const state = { restarts: 0, longestStepMs: 0, pagesPerMs: 1, forecastMs: 0 };
  const progress = ({ totalPages, remainingPages }: Database.BackupMetadata): number => {
    const now = performance.now();
    const stepTook = Math.max(now - stepStartedAt, 0.01);
    const elapsed = Math.max(now - startedAt, 0.01);
    const copied = totalPages - remainingPages;
    state.longestStepMs = Math.max(state.longestStepMs, Math.round(stepTook));
    // No advance: another program has written between two steps, or holds a lock.
    if (copied <= copiedBefore) state.restarts += 1;
    else if (copied > 0 && state.restarts === 0) {
      state.pagesPerMs = copied / elapsed;
      state.forecastMs = totalPages / state.pagesPerMs;
    }
    copiedBefore = copied;
    report(copied * pageBytes, totalPages * pageBytes);
    if (now > pace.deadlineAt) throw new HoldfastError("timeout", "copying the database took longer than maxDurationMs");
    if (state.restarts > pace.maxRestarts || mustGiveUp(pace.maxHoldMs, elapsed, state.forecastMs)) throw new GaveUp();
    // The next step would follow at once and starve the writers who have been waiting; only blocking keeps it from doing so.
    if (pace.pagesPerStep !== undefined && copied > 0) blockFor(gapMs);
    if (pace.pagesPerStep === undefined) pages = Math.max(64, Math.min(pages * 4, Math.round((pages * wantedStepMs) / stepTook)));
    stepStartedAt = performance.now();
    return pages;
  };
  try {
    const { totalPages } = await source.backup(copy, { progress });
    if (totalPages === 0) return { outcome: "gave-up", ...state };
    report(totalPages * pageBytes, totalPages * pageBytes);
    return { outcome: "copied", ...state };
  } catch (error) {
    if (!(error instanceof GaveUp)) throw error;
    return { outcome: "gave-up", ...state };
  }
}

function mustGiveUp(maxHoldMs: number | undefined, elapsedMs: number, forecastMs: number): boolean {
  if (maxHoldMs === undefined) return false;
  return elapsedMs > maxHoldMs || (elapsedMs > forecastAfterMs && forecastMs > maxHoldMs * 1.5);
}
