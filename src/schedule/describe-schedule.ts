import { describeDuration } from "../base/parse-duration.ts";
import type { CronFields } from "./parse-cron.ts";
import type { Schedule } from "./parse-schedule.ts";

const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const pad = (number: number): string => String(number).padStart(2, "0");
const isEvery = (values: readonly number[], count: number): boolean => values.length === count;

/**
 * The schedule for people: `every day at 02:00 (Europe/Berlin)`; a cron text that has no short sentence stays as it is.
 * @param timezone the zone of the job, shown unless the schedule has its own
 */
export function describeSchedule(schedule: Schedule, timezone?: string): string {
  const jitter = schedule.jitterMs === 0 ? "" : `, up to ${describeDuration(schedule.jitterMs)} later`;
  if (schedule.kind === "interval") return `every ${describeDuration(schedule.everyMs)}${jitter}`;
  const zone = schedule.timezone ?? timezone;
  return (describeCron(schedule.fields) ?? `cron ${schedule.cron}`) + (zone === undefined ? "" : ` (${zone})`) + jitter;
}

function describeCron(fields: CronFields): string | undefined {
  const days = describeDays(fields);
  if (days === undefined) return undefined;
  const everyDay = days === "every day";
  if (isEvery(fields.hours, 24)) {
    const minutes = describeMinutes(fields.minutes);
    return everyDay && minutes !== undefined ? minutes : undefined;
  }
  const times = fields.hours.flatMap((hour) => fields.minutes.map((minute) => `${pad(hour)}:${pad(minute)}`));
  return times.length <= 4 ? `${days} at ${joinWords(times)}` : undefined;
}

function describeMinutes(minutes: readonly number[]): string | undefined {
  const [first = 0, second] = minutes;
  if (second === undefined) return first === 0 ? "every hour" : `every hour at minute ${first}`;
  const step = second - first;
  const even = first === 0 && 60 % step === 0 && minutes.length === 60 / step && minutes.every((minute, index) => minute === index * step);
  if (!even) return undefined;
  return step === 1 ? "every minute" : `every ${step} minutes`;
}

function describeDays(fields: CronFields): string | undefined {
  if (!isEvery(fields.months, 12)) return undefined;
  const anyDate = isEvery(fields.daysOfMonth, 31);
  const anyWeekday = isEvery(fields.daysOfWeek, 7);
  if (anyDate && anyWeekday) return "every day";
  if (fields.dayRule === "either") return undefined;
  if (anyWeekday)
    return fields.daysOfMonth.length <= 3 ? `on the ${joinWords(fields.daysOfMonth.map(describeOrdinal))} of every month` : undefined;
  if (!anyDate) return undefined;
  if (fields.daysOfWeek.join() === "1,2,3,4,5") return "every Monday to Friday";
  return `every ${joinWords(fields.daysOfWeek.map((day) => weekdays[day] ?? ""))}`;
}

function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1) ?? ""}`;
}

function describeOrdinal(day: number): string {
  const ending = day % 100 >= 11 && day % 100 <= 13 ? "th" : (["th", "st", "nd", "rd"][day % 10] ?? "th");
  return `${day}${ending}`;
}
