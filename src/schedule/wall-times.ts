import type { CronFields } from "./parse-cron.ts";

/*
 * Wall time here is a plain number: the milliseconds that Date.UTC gives for what a clock on the wall shows.
 * It knows no zone; spans are half-open, [fromMs, untilMs).
 */

const minuteMs = 60_000;
export const dayMs = 86_400_000;
/** The longest wait is 28 years, for 29 February on a weekend across 2100; parseCron refuses dates that never come. */
const searchLimitMs = 100 * 366 * dayMs;

/** The wall times that the fields allow in the span, in order. Ends after a century without one; of an endless span the reader stops. */
export function* listWallTimes(fields: CronFields, fromMs: number, untilMs: number): Generator<number, void, void> {
  for (const dayAtMs of listDays(fields, fromMs, untilMs)) {
    for (const hour of fields.hours) {
      const hourAtMs = dayAtMs + hour * 60 * minuteMs;
      if (hourAtMs + 60 * minuteMs <= fromMs) continue;
      if (hourAtMs >= untilMs) return;
      for (const minute of fields.minutes) {
        const wallMs = hourAtMs + minute * minuteMs;
        if (wallMs < fromMs) continue;
        if (wallMs >= untilMs) return;
        yield wallMs;
      }
    }
  }
}

/** How many wall times listWallTimes would list, counted by days. The span must end. */
export function countWallTimes(fields: CronFields, fromMs: number, untilMs: number): number {
  let count = 0;
  for (const dayAtMs of listDays(fields, fromMs, untilMs)) {
    if (dayAtMs >= fromMs && dayAtMs + dayMs <= untilMs) count += fields.hours.length * fields.minutes.length;
    else count += listWallTimes(fields, Math.max(dayAtMs, fromMs), Math.min(dayAtMs + dayMs, untilMs)).toArray().length;
  }
  return count;
}

export function hasWallTime(fields: CronFields, fromMs: number, untilMs: number): boolean {
  return listWallTimes(fields, fromMs, untilMs).next().done === false;
}

/** The midnights of matching days that touch the span; months without a match are stepped over, not searched. */
function* listDays(fields: CronFields, fromMs: number, untilMs: number): Generator<number, void, void> {
  let day = new Date(Math.floor(fromMs / dayMs) * dayMs);
  let foundMs = day.getTime();
  while (day.getTime() < untilMs && day.getTime() - foundMs < searchLimitMs) {
    if (!fields.months.includes(day.getUTCMonth() + 1)) {
      day = new Date(Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + 1, 1));
      continue;
    }
    if (matchesDay(fields, day)) {
      foundMs = day.getTime();
      yield foundMs;
    }
    day = new Date(day.getTime() + dayMs);
  }
}

function matchesDay(fields: CronFields, day: Date): boolean {
  const byDate = fields.daysOfMonth.includes(day.getUTCDate());
  const byWeekday = fields.daysOfWeek.includes(day.getUTCDay());
  return fields.dayRule === "both" ? byDate && byWeekday : byDate || byWeekday;
}
