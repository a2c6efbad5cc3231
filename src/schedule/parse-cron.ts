import { HoldfastError } from "../base/errors.ts";

/** What a cron text allows, as sorted lists; weekdays are 0 (Sunday) to 6. */
export interface CronFields {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly daysOfMonth: readonly number[];
  readonly months: readonly number[];
  readonly daysOfWeek: readonly number[];
  /**
   * crontab(5): a day matches when day of month and day of week *both* match if one of the two fields starts with `*`, and when
   * *either* matches if both are restricted: `0 3 1 * MON` runs on the 1st and on every Monday. (node-cron's own ticks need both.)
   */
  readonly dayRule: "both" | "either";
}

export interface ParsedCron {
  /** Five fields, single spaces, nicknames resolved. */
  readonly cron: string;
  readonly fields: CronFields;
}

interface FieldSpec {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
  /** The values are a ring of seven, 7 is 0, and FRI-MON runs over the end. */
  readonly wraps?: true;
}

const monthNames = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];
const weekdayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const longestMonthDays = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const nicknames: ReadonlyMap<string, string> = new Map([
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
  ["@monthly", "0 0 1 * *"],
  ["@weekly", "0 0 * * 0"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@hourly", "0 * * * *"],
]);

const cronExample = 'Five fields: minute hour day-of-month month day-of-week, for example "0 3 * * *" (every day at 03:00).';

/**
 * Five-field cron: numbers, names (MON, january), lists, ranges, steps; and @hourly to @yearly. Accepts nothing that node-cron refuses.
 * @throws HoldfastError `config-invalid`, also for a date that never comes (`0 0 31 2 *`)
 */
export function parseCron(text: string): ParsedCron {
  const trimmed = text.trim();
  const fail = (why: string, hint = cronExample): never => {
    throw new HoldfastError("config-invalid", `Cannot read schedule ${JSON.stringify(text)}: ${why}`, { hint });
  };
  if (trimmed.toLowerCase() === "@reboot") return fail("@reboot is not a time", "Use `atStart: true` for a backup when the daemon starts.");
  const resolved = trimmed.startsWith("@") ? nicknames.get(trimmed.toLowerCase()) : trimmed;
  if (resolved === undefined) return fail(`unknown nickname; allowed are ${[...nicknames.keys()].join(", ")}`);
  const parts = resolved.split(/\s+/);
  if (parts.length === 6) return fail("it has six fields, and seconds are not supported; leave the first field out");
  if (parts.length !== 5) return fail(`it has ${parts.length} ${parts.length === 1 ? "field" : "fields"} instead of five`);
  const [minute = "", hour = "", dayOfMonth = "", month = "", dayOfWeek = ""] = parts;
  const read = (value: string, spec: FieldSpec): readonly number[] => parseField(value, spec, fail);
  const fields: CronFields = {
    minutes: read(minute, { name: "minute", min: 0, max: 59 }),
    hours: read(hour, { name: "hour", min: 0, max: 23 }),
    daysOfMonth: read(dayOfMonth, { name: "day of month", min: 1, max: 31 }),
    months: read(month, { name: "month", min: 1, max: 12, names: monthNames }),
    daysOfWeek: read(dayOfWeek, { name: "day of week", min: 0, max: 7, names: weekdayNames, wraps: true }),
    dayRule: dayOfMonth.startsWith("*") || dayOfWeek.startsWith("*") ? "both" : "either",
  };
  const longest = Math.max(...fields.months.map((each) => longestMonthDays[each - 1] ?? 0));
  if ((fields.daysOfMonth[0] ?? 1) > longest) return fail(`day ${dayOfMonth} never comes in month ${month}`);
  return { cron: parts.join(" "), fields };
}

function parseField(value: string, spec: FieldSpec, fail: (why: string) => never): readonly number[] {
  const { name, min, max, names } = spec;
  const wrong = (why: string): never => fail(`${name} ${JSON.stringify(value)}: ${why}`);
  const allowed = `allowed are ${min} to ${max}${names === undefined ? "" : " and names such as " + names[1]?.slice(0, 3).toUpperCase()}, *, lists, ranges and steps`;
  const parseNumber = (text: string): number => {
    const named = names?.findIndex((each) => each === text.toLowerCase() || each.slice(0, 3) === text.toLowerCase()) ?? -1;
    if (named >= 0) return named + min;
    if (!/^\d{1,2}$/.test(text)) return wrong(`${JSON.stringify(text)} is not a value; ${allowed}`);
    const number = Number(text);
    return number >= min && number <= max ? number : wrong(`${number} is out of range; ${allowed}`);
  };
  const found = new Set<number>();
  for (const item of value.split(",")) {
    const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d{1,4}))?$/.exec(item);
    if (match === null) return wrong(`cannot read ${JSON.stringify(item)}; ${allowed}`);
    const [, star, first = "", last, stepText] = match;
    if (stepText !== undefined && star === undefined && last === undefined)
      wrong(`a step needs * or a range before it: ${first}-${max}/${stepText}`);
    const step = stepText === undefined ? 1 : Number(stepText);
    const size = spec.wraps ? 7 : max - min + 1;
    if (step < 1 || step >= Math.max(size, 2))
      wrong(
        `step ${step} is out of range; allowed are 1 to ${size - 1}${name === "minute" || name === "hour" ? '; for other intervals write "every 90m"' : ""}`,
      );
    const from = star === undefined ? parseNumber(first) : min;
    let to = star === undefined ? parseNumber(last ?? first) : min + size - 1;
    if (to < from && spec.wraps) to += 7;
    if (to < from) wrong(`range ${first}-${last ?? ""} runs backwards`);
    for (let each = from; each <= to; each += step) found.add(spec.wraps ? each % 7 : each);
  }
  return [...found].sort((a, b) => a - b);
}
