import { findClosest } from "../base/closest-name.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { parseDuration } from "../base/parse-duration.ts";
import { calendarRules } from "./calendar-buckets.ts";

/** A backup is kept when any of the rules keeps it. At least one rule keeps something. */
export interface RetentionPolicy {
  readonly keepLast?: number;
  /** Counted from the newest good backup, see createRunningAge. */
  readonly keepWithinMs?: number;
  readonly keepDaily?: number | "all";
  readonly keepWeekly?: number | "all";
  readonly keepMonthly?: number | "all";
  readonly keepYearly?: number | "all";
}

/** One thing wrong with a policy as it was written; `key` is undefined where it is the whole. */
export interface RetentionProblem {
  readonly key: string | undefined;
  readonly message: string;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type CountKey = Exclude<keyof RetentionPolicy, "keepWithinMs">;

const countKeys = ["keepLast", ...calendarRules] as const satisfies readonly CountKey[];
const allowedKeys = ["keepLast", "keepWithin", ...calendarRules] as const;
const keepAllHint = "Leave `retention` out to keep every backup.";

/**
 * Reads a job's `retention`: `{keepLast: 5, keepWithin: "30d", keepDaily: 7, keepYearly: "all"}`. A rule of 0 is no rule.
 * @throws HoldfastError `config-invalid` naming everything that is wrong; `details.problems` lists it as RetentionProblem
 */
export function parseRetention(input: unknown): RetentionPolicy {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw createError([
      { key: undefined, message: `expected rules such as {keepLast: 5, keepWithin: 30d}, found ${describeFound(input)}` },
    ]);
  }
  const policy: Mutable<RetentionPolicy> = {};
  const problems: RetentionProblem[] = [];
  const refuse = (key: string, message: string) => problems.push({ key, message });
  for (const [key, value] of Object.entries(input)) {
    if (key === "keepWithin") {
      const spanMs = parseSpan(value, refuse);
      if (spanMs > 0) policy.keepWithinMs = spanMs;
    } else if (isCountKey(key)) {
      const count = parseCount(key, value, refuse);
      if (count === "all" && key !== "keepLast") policy[key] = count;
      else if (typeof count === "number" && count > 0) policy[key] = count;
    } else refuse(key, describeUnknownKey(key));
  }
  if (problems.length === 0 && Object.keys(policy).length === 0) {
    const rules = Object.keys(input).length === 0 ? "it has no rules" : "all its rules are 0, which would remove every backup";
    problems.push({ key: undefined, message: `${rules}; give at least one of ${allowedKeys.join(", ")}` });
  }
  if (problems.length > 0) throw createError(problems);
  return policy;
}

function isCountKey(key: string): key is CountKey {
  return (countKeys as readonly string[]).includes(key);
}

function parseSpan(value: unknown, refuse: (key: string, message: string) => void): number {
  if (value === 0) return 0;
  if (typeof value !== "string") {
    refuse("keepWithin", `expected a duration with its unit, for instance "30d" or "12h", found ${describeFound(value)}`);
    return 0;
  }
  try {
    return parseDuration(value);
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError)) throw thrown;
    refuse("keepWithin", describeCause(thrown));
    return 0;
  }
}

function parseCount(key: CountKey, value: unknown, refuse: (key: string, message: string) => void): number | "all" {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  if (value === "all" && key !== "keepLast") return value;
  const allowed = key === "keepLast" ? "a whole number from 0" : 'a whole number from 0, or "all"';
  refuse(key, `expected ${allowed}, found ${describeFound(value)}${describeMeant(key, value)}`);
  return 0;
}

function describeMeant(key: CountKey, value: unknown): string {
  if (typeof value !== "string") return "";
  if (key === "keepLast" && value === "all") return "; to keep every backup, leave `retention` out";
  if (/^\s*[0-9]+\s*$/.test(value)) return `; did you mean ${Number(value)}, without quotes?`;
  return key !== "keepLast" && findClosest(value, ["all"]) === "all" ? '; did you mean "all"?' : "";
}

function describeUnknownKey(key: string): string {
  const meant = key === "keepWithinMs" ? "keepWithin" : findClosest(key, allowedKeys);
  return `no such rule; allowed are ${allowedKeys.join(", ")}${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
}

function describeFound(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string") return `"${value}"`;
  if (Array.isArray(value)) return "a list";
  return typeof value === "number" || typeof value === "boolean" ? String(value) : `an ${typeof value}`;
}

function createError(problems: readonly RetentionProblem[]): HoldfastError {
  const lines = problems.map(({ key, message }) => (key === undefined ? message : `"${key}": ${message}`));
  return new HoldfastError("config-invalid", `Cannot use retention: ${lines.join("; ")}`, { hint: keepAllHint, details: { problems } });
}
