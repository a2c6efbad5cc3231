import { HoldfastError } from "./errors.ts";

const unitsMs = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
type Unit = keyof typeof unitsMs;

const tokenPattern = /(\d+(?:\.\d+)?)\s*(\p{L}*)/gu;

const isUnit = (text: string): text is Unit => Object.hasOwn(unitsMs, text);

export interface DurationLimits {
  /** What the duration is for, named in the error: `duration` when absent. */
  readonly what?: string;
  /** The least that is allowed, default 0. */
  readonly minMs?: number;
  readonly maxMs?: number;
}

/**
 * Milliseconds of "90s", "30m", "6h", "30d", "2w", "1500ms", "1.5h", "1h 30m". A day is 24 hours, a month or year is no unit.
 * @throws HoldfastError `config-invalid` for anything else, plain numbers included: their unit would be a guess
 */
export function parseDuration(input: unknown, limits: DurationLimits = {}): number {
  const what = limits.what ?? "duration";
  const fail = (why: string): never => {
    throw new HoldfastError("config-invalid", `Cannot read ${what} ${JSON.stringify(input) ?? String(input)}: ${why}`, {
      hint: "Write a number and a unit: ms, s, m (minutes), h, d or w, for example 90s, 30m, 6h, 30d.",
    });
  };
  if (typeof input !== "string") return fail(typeof input === "number" ? "it has no unit" : "it must be text such as 30m");
  const text = input.trim();
  if (text.startsWith("-")) return fail("it must not be negative");
  const tokens = text.length > 100 ? [] : [...text.matchAll(tokenPattern)];
  if (tokens.length === 0 || text.replaceAll(tokenPattern, "").trim() !== "") return fail("it is not a number with a unit");
  let totalMs = 0;
  for (const [, amount = "", unit = ""] of tokens) {
    if (unit === "") return fail("it has no unit");
    if (!isUnit(unit)) return fail(`unknown unit ${JSON.stringify(unit)}; allowed are ms, s, m, h, d, w`);
    totalMs += Number(amount) * unitsMs[unit];
  }
  const ms = Math.round(totalMs);
  if (!Number.isSafeInteger(ms)) return fail("it is too long");
  const { minMs = 0, maxMs = Number.MAX_SAFE_INTEGER } = limits;
  if (ms < minMs) return fail(`it must be at least ${describeDuration(minMs)}`);
  if (ms > maxMs) return fail(`it must be at most ${describeDuration(maxMs)}`);
  return ms;
}

/** `1d 6h`, `1m 30s`, `0s`: exact to the millisecond, and parseDuration reads it back. Fractions of a millisecond are rounded. */
export function describeDuration(durationMs: number): string {
  let rest = Math.round(Math.abs(durationMs));
  const parts: string[] = [];
  for (const unit of ["d", "h", "m", "s", "ms"] as const) {
    const count = Math.floor(rest / unitsMs[unit]);
    rest -= count * unitsMs[unit];
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? "0s" : (durationMs < 0 ? "-" : "") + parts.join(" ");
}
