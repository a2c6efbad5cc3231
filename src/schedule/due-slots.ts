import { jitterFor } from "./jitter.ts";
import { countSlots, newestSlots, nextSlot } from "./next-slot.ts";
import type { Schedule } from "./parse-schedule.ts";

export interface DueInput {
  readonly schedule: Schedule;
  /** The zone of the job. */
  readonly timezone: string;
  readonly nowMs: number;
  /** The newest slot that was settled, that is run or recorded as missed: `settledMs` of an earlier decision. */
  readonly lastSlotMs: number | undefined;
  /** When the job was first seen with this schedule; nothing at or before it is a slot. */
  readonly firstSeenMs: number;
  readonly catchUp: "run" | "skip";
  /** How late a slot is still on time, counted from its jittered instant; default 90 s. */
  readonly toleranceMs?: number;
  /** Seed of the jitter; needed only with a schedule that has one. */
  readonly jobName?: string;
  /** How many missed slots are listed, the newest ones; default 100. */
  readonly missedLimit?: number;
}

export interface DueDecision {
  /** At most one run, for the newest slot. */
  readonly run?: { readonly slotMs: number; readonly reason: "on-time" | "catch-up" };
  /** Slots that will never run, oldest first, the newest `missedLimit` of them. */
  readonly missed: readonly number[];
  /** All of them, listed or not. */
  readonly missedCount: number;
  /** What to remember, durably and before the run starts, as the next `lastSlotMs`; undefined if nothing was settled. */
  readonly settledMs: number | undefined;
  /** The next slot, and the instant at which to ask again: that slot with its jitter. Both later than every settled slot. */
  readonly nextSlotMs: number;
  readonly nextMs: number;
  /**
   * How far the wall clock lies behind what is settled or first seen: 0 unless it was set back (or a wrong clock settled slots of
   * the future). Until it has caught up nothing runs by this schedule, so the caller must tell somebody. A caller that knows better
   * starts afresh with `lastSlotMs: undefined, firstSeenMs: nowMs`.
   */
  readonly clockBehindMs: number;
}

/**
 * What is due, from the record alone, so a restart, a suspended machine and a clock that jumps forward are all downtime.
 * Every slot is settled exactly once: run, or recorded as missed. After downtime the newest slot runs (`catchUp: "run"`) or is
 * missed too (`skip`), the others are missed. Never a slot at or before `lastSlotMs` or `firstSeenMs`.
 */
export function decideDue(input: DueInput): DueDecision {
  const { schedule, timezone, nowMs, lastSlotMs, firstSeenMs, catchUp, toleranceMs = 90_000, jobName = "", missedLimit = 100 } = input;
  const startMs = Math.max(lastSlotMs ?? firstSeenMs, firstSeenMs);
  const findDueMs = (slotMs: number): number => slotMs + jitterFor(schedule, jobName, slotMs);
  // A few more than asked for: jitter keeps the newest back, and slots lie closer together where the clock is changed.
  const reached = newestSlots(schedule, startMs, nowMs, timezone, missedLimit + 10, startMs);
  const newestMs = reached.findLast((slotMs) => findDueMs(slotMs) <= nowMs);
  const nextSlotMs = nextSlot(schedule, newestMs ?? startMs, timezone, startMs);
  const common = { settledMs: newestMs, nextSlotMs, nextMs: findDueMs(nextSlotMs), clockBehindMs: Math.max(0, startMs - nowMs) };
  if (newestMs === undefined) return { ...common, missed: [], missedCount: 0 };

  const late = nowMs - findDueMs(newestMs) > toleranceMs;
  const runs = !late || catchUp === "run";
  const missed = reached.filter((slotMs) => (runs ? slotMs < newestMs : slotMs <= newestMs));
  const missedCount = countSlots(schedule, startMs, newestMs, timezone, startMs) - (runs ? 1 : 0);
  return {
    ...common,
    ...(runs ? { run: { slotMs: newestMs, reason: late ? "catch-up" : "on-time" } } : {}),
    missed: missedLimit === 0 ? [] : missed.slice(-missedLimit),
    missedCount,
  };
}
