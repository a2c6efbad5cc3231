export type CalendarRule = "keepDaily" | "keepWeekly" | "keepMonthly" | "keepYearly";

/** The rules in the order in which their reasons are given. */
export const calendarRules = ["keepDaily", "keepWeekly", "keepMonthly", "keepYearly"] as const satisfies readonly CalendarRule[];

const words: Readonly<Record<CalendarRule, string>> = {
  keepDaily: "daily",
  keepWeekly: "weekly",
  keepMonthly: "monthly",
  keepYearly: "yearly",
};

/** The calendar day of an instant in a zone. */
export function findDay(epochMs: number, timezone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toZonedDateTimeISO(timezone).toPlainDate();
}

/** The day, week, month or year of a day, as people write it; a week is named by its Sunday: `weekly 2026-11-15`. */
export function describeBucket(rule: CalendarRule, day: Temporal.PlainDate): string {
  return `${words[rule]} ${findBucket(rule, day)}`;
}

/** `daily 7`, `yearly all` */
export function describeCalendarRule(rule: CalendarRule, count: number | "all"): string {
  return `${words[rule]} ${count}`;
}

function findBucket(rule: CalendarRule, day: Temporal.PlainDate): string {
  switch (rule) {
    case "keepDaily":
      return day.toString();
    case "keepWeekly":
      // dayOfWeek is 7 on Sunday, which begins a week here.
      return day.subtract({ days: day.dayOfWeek % 7 }).toString();
    case "keepMonthly":
      return day.toPlainYearMonth().toString();
    case "keepYearly":
      return String(day.year);
  }
}
