import type { CronFields } from "./parse-cron.ts";
import type { IntervalSchedule, Schedule } from "./parse-schedule.ts";
import { countWallTimes, dayMs, hasWallTime, listWallTimes } from "./wall-times.ts";
import { listZoneSpans } from "./zone-spans.ts";

/*
 * The rule of slots.
 *
 * An interval has its slots at anchor + k × everyMs, in elapsed time: no zone, no drift.
 *
 * A cron schedule allows wall times. Where the clock runs evenly, each is one slot. Where it is changed:
 * - *Timed* schedules (the hour field leaves out at least one hour): each wall time is one slot. One that the clock shows twice is the
 *   first of the two. All that fall into one gap become one slot together, at the first instant after the gap; if that instant is
 *   a slot by itself, it is that one slot.
 * - *Every-hour* schedules (the hour field allows all 24 hours: every minute, half-hour, hour) follow elapsed time: whenever the clock
 *   shows an allowed time there is a slot, in the repeated hour again, and a gap is stepped over without one. Only a gap of a day
 *   or more (a zone that crossed the date line) is treated as above.
 * So slots strictly increase, and a wall time that the clock never or twice shows costs or adds nothing else.
 */

/** A stretch of even clock: slots are the allowed wall times minus the offset, and one at gapSlotMs where a gap swallowed some. */
interface Stretch {
  readonly gapSlotMs: number | undefined;
  readonly fromWallMs: number;
  readonly untilWallMs: number;
  readonly offsetMs: number;
}

/**
 * The first slot strictly after an instant. Always finite, and always later than `afterMs`.
 * @param timezone for a cron schedule without a zone of its own
 * @param anchorMs for an interval: the last slot, or when the job was first seen
 */
export function nextSlot(schedule: Schedule, afterMs: number, timezone: string, anchorMs = 0): number {
  for (const slotMs of listSlots(schedule, afterMs, Infinity, timezone, anchorMs)) return slotMs;
  throw new RangeError(`No slot after ${afterMs} for ${JSON.stringify(schedule)}`);
}

/** The slots in (afterMs, untilMs], the first `limit` of them. */
export function slotsBetween(
  schedule: Schedule,
  afterMs: number,
  untilMs: number,
  timezone: string,
  limit: number,
  anchorMs = 0,
): readonly number[] {
  return listSlots(schedule, afterMs, untilMs, timezone, anchorMs).take(limit).toArray();
}

/** The newest `limit` slots in (afterMs, untilMs], oldest first; quick however long the time is. */
export function newestSlots(
  schedule: Schedule,
  afterMs: number,
  untilMs: number,
  timezone: string,
  limit: number,
  anchorMs = 0,
): readonly number[] {
  for (let widthMs = 60_000; ; widthMs *= 2) {
    const fromMs = Math.max(afterMs, untilMs - widthMs);
    const count = countSlots(schedule, fromMs, untilMs, timezone, anchorMs);
    if (count < limit && fromMs > afterMs) continue;
    return listSlots(schedule, fromMs, untilMs, timezone, anchorMs)
      .drop(Math.max(0, count - limit))
      .toArray();
  }
}

/** How many slots lie in (afterMs, untilMs], counted by days, not one by one. */
export function countSlots(schedule: Schedule, afterMs: number, untilMs: number, timezone: string, anchorMs = 0): number {
  if (!(untilMs > afterMs)) return 0;
  if (schedule.kind === "interval") return indexInterval(schedule, untilMs, anchorMs) - indexInterval(schedule, afterMs, anchorMs);
  let count = 0;
  for (const stretch of listStretches(schedule.fields, afterMs, untilMs, schedule.timezone ?? timezone)) {
    count += (stretch.gapSlotMs === undefined ? 0 : 1) + countWallTimes(schedule.fields, stretch.fromWallMs, stretch.untilWallMs);
  }
  return count;
}

function* listSlots(
  schedule: Schedule,
  afterMs: number,
  untilMs: number,
  timezone: string,
  anchorMs: number,
): Generator<number, void, void> {
  if (!Number.isFinite(afterMs)) throw new RangeError(`Not an instant: ${afterMs}`);
  if (schedule.kind === "interval") {
    for (let index = indexInterval(schedule, afterMs, anchorMs) + 1; ; index += 1) {
      const slotMs = anchorMs + index * schedule.everyMs;
      if (slotMs > untilMs) return;
      yield slotMs;
    }
  }
  for (const stretch of listStretches(schedule.fields, afterMs, untilMs, schedule.timezone ?? timezone)) {
    if (stretch.gapSlotMs !== undefined) yield stretch.gapSlotMs;
    for (const wallMs of listWallTimes(schedule.fields, stretch.fromWallMs, stretch.untilWallMs)) yield wallMs - stretch.offsetMs;
  }
}

/** The index of the newest interval slot at or before an instant. */
function indexInterval(schedule: IntervalSchedule, atMs: number, anchorMs: number): number {
  return Math.floor((atMs - anchorMs) / schedule.everyMs);
}

/** The stretches of (afterMs, untilMs]; instants are whole milliseconds, so both ends move to the next one. */
function* listStretches(fields: CronFields, afterMs: number, untilMs: number, timezone: string): Generator<Stretch, void, void> {
  const firstMs = Math.floor(afterMs) + 1;
  const endMs = Math.floor(untilMs) + 1;
  const everyHour = fields.hours.length === 24;
  for (const span of listZoneSpans(timezone, firstMs)) {
    if (span.fromMs >= endMs) return;
    const spanWallMs = span.fromMs + span.offsetMs;
    const gapMs = spanWallMs - span.seenWallMs;
    const fires = span.fromMs >= firstMs && gapMs > 0 && (!everyHour || gapMs >= dayMs) && hasWallTime(fields, span.seenWallMs, spanWallMs);
    // The slot of the gap stands for a wall time at the same instant too.
    const openMs = Math.max(firstMs, fires ? span.fromMs + 1 : span.fromMs) + span.offsetMs;
    yield {
      gapSlotMs: fires ? span.fromMs : undefined,
      fromWallMs: everyHour ? openMs : Math.max(openMs, span.seenWallMs),
      untilWallMs: Math.min(endMs, span.untilMs) + span.offsetMs,
      offsetMs: span.offsetMs,
    };
  }
}
