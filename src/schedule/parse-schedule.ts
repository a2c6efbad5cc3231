import { HoldfastError, describeCause } from "../base/errors.ts";
import { describeDuration, parseDuration } from "../base/parse-duration.ts";
import { parseCron, type CronFields } from "./parse-cron.ts";
import { parseTimeZone } from "./parse-time-zone.ts";

export interface CronSchedule {
  readonly kind: "cron";
  /** Five fields, as node-cron and crontab(5) take them. */
  readonly cron: string;
  readonly fields: CronFields;
  /** Wins over the zone of the job. */
  readonly timezone?: string;
  /** A slot starts up to this much later; see jitterFor. 0 is none. */
  readonly jitterMs: number;
}

export interface IntervalSchedule {
  readonly kind: "interval";
  /** Elapsed time: `every 1d` is 24 hours on the days when the clock changes too. */
  readonly everyMs: number;
  readonly jitterMs: number;
}

/** When a job runs. Plain data: it survives JSON. */
export type Schedule = CronSchedule | IntervalSchedule;

/** The names of W4 and hourly. */
const namedCrons: ReadonlyMap<string, string> = new Map([
  ["hourly", "0 * * * *"],
  ["daily", "0 2 * * *"],
  ["weekly", "0 2 * * 0"],
  ["monthly", "0 2 1 * *"],
]);

const forms = "hourly, daily, weekly, monthly, a cron text, every …, or {cron | every | at, timezone, jitter}";
const examples = 'For example: daily, "0 3 * * *", every 6h, {cron: "0 3 * * *", timezone: Europe/Berlin, jitter: 10m}.';
const keys = ["cron", "every", "at", "timezone", "jitter"];
const shortestMs = 1000;
const longestMs = 3650 * 86_400_000;

const reject = (input: unknown, why: string, hint = examples): never => {
  throw new HoldfastError("config-invalid", `Cannot read schedule ${JSON.stringify(input) ?? String(input)}: ${why}`, { hint });
};

/**
 * What the YAML holds: a name, a cron text, `every 30m`, a plain number of milliseconds (as from BACKUP_INTERVAL), or an object.
 * @throws HoldfastError `config-invalid` that names what was found and what is allowed
 */
export function parseSchedule(input: unknown): Schedule {
  if (typeof input === "number") return createInterval(input, input);
  if (typeof input === "string") return parseText(input);
  if (typeof input !== "object" || input === null || Array.isArray(input)) return reject(input, `allowed are ${forms}`);
  return parseObject(input as Readonly<Record<string, unknown>>);
}

function parseText(text: string): Schedule {
  const trimmed = text.trim();
  const every = /^every\s+(.*)$/i.exec(trimmed)?.[1];
  if (every !== undefined) return createInterval(parseEvery(every), text);
  if (/^\d+$/.test(trimmed)) return createInterval(Number(trimmed), text);
  const named = namedCrons.get(trimmed.toLowerCase());
  if (named !== undefined) return { kind: "cron", ...parseCron(named), jitterMs: 0 };
  if (trimmed.startsWith("@") || /\s/.test(trimmed)) return { kind: "cron", ...parseCron(trimmed), jitterMs: 0 };
  return reject(text, `allowed are ${forms}`);
}

function parseEvery(input: unknown): number {
  if (typeof input === "number") return input;
  return parseDuration(input, { what: "interval" });
}

function createInterval(everyMs: number, found: unknown): IntervalSchedule {
  if (Number.isInteger(everyMs) && everyMs >= shortestMs && everyMs <= longestMs) return { kind: "interval", everyMs, jitterMs: 0 };
  return reject(
    found,
    `an interval must be ${describeDuration(shortestMs)} to ${describeDuration(longestMs)}`,
    "A plain number is milliseconds; write every 30m.",
  );
}

function parseObject(input: Readonly<Record<string, unknown>>): Schedule {
  const unknown = Object.keys(input).find((key) => !keys.includes(key));
  if (unknown !== undefined) return reject(input, `unknown key ${JSON.stringify(unknown)}; allowed are ${keys.join(", ")}`);
  const { cron, every, at, timezone, jitter } = input;
  const given = [cron, every, at].filter((each) => each !== undefined);
  if (given.length !== 1) return reject(input, `exactly one of cron, every, at must be given, found ${given.length}`);
  const base = every === undefined ? parseText(requireText(input, cron ?? at)) : createInterval(parseEvery(every), input);
  if (base.kind === "interval" && every === undefined)
    return reject(input, "cron and at take a cron text or a name, intervals go under every");
  if (base.kind === "interval" && timezone !== undefined) return reject(input, "an interval is elapsed time and has no time zone");
  const jitterMs = jitter === undefined ? 0 : parseDuration(jitter, { what: "jitter" });
  const gapMs = base.kind === "interval" ? base.everyMs : findShortestGapMs(base.fields);
  if (jitterMs >= gapMs) return reject(input, `jitter must be shorter than the time between two slots, ${describeDuration(gapMs)}`);
  return { ...base, jitterMs, ...(timezone === undefined ? {} : { timezone: parseZone(input, timezone) }) };
}

function requireText(input: unknown, value: unknown): string {
  return typeof value === "string" ? value : reject(input, "cron and at take text");
}

function parseZone(input: unknown, timezone: unknown): string {
  try {
    return parseTimeZone(timezone);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return reject(input, describeCause(error), error.hint);
  }
}

/** The shortest time between two slots on the wall clock, of one day and the next. */
function findShortestGapMs(fields: CronFields): number {
  const minutes = fields.hours.flatMap((hour) => fields.minutes.map((minute) => hour * 60 + minute));
  const gaps = minutes.map((minute, index) => (minutes[index + 1] ?? (minutes[0] ?? 0) + 1440) - minute);
  return Math.min(...gaps) * 60_000;
}
