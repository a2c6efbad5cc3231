import { HoldfastError } from "../base/errors.ts";

/** What `{…}` in a name template can be. Times are of the run's actual start, in the zone that the job says. */
export const namePlaceholders = ["YYYY", "MM", "DD", "HH", "mm", "ss", "YYYYMMDD", "HHmmss", "job", "host"] as const;

type Placeholder = (typeof namePlaceholders)[number];

const timePlaceholders: ReadonlySet<string> = new Set(namePlaceholders.filter((name) => name !== "job" && name !== "host"));

export interface NameContext {
  /** Start of the run, milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** IANA zone. */
  readonly timezone: string;
  readonly job: string;
  readonly host: string;
}

/** Throws `config-invalid` unless every name that the template can give is a plain file name. */
export function checkNameTemplate(template: string): { readonly hasTime: boolean } {
  const used = [...template.matchAll(/\{([^}]*)\}/g)].map((match) => match[1] ?? "");
  const unknown = used.find((name) => !(namePlaceholders as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new HoldfastError("config-invalid", `Unknown placeholder "{${unknown}}" in the name "${template}"`, {
      hint: `Known: ${namePlaceholders.map((name) => `{${name}}`).join(" ")}.`,
    });
  }
  const literal = template.replaceAll(/\{[^}]*\}/g, "x");
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be in a name
  if (literal === "" || literal.startsWith(".") || literal.startsWith("-") || /[/\\{}\u0000-\u001f\u007f]/.test(literal) || literal.length > 180) {
    throw new HoldfastError("config-invalid", `The name "${template}" does not give a plain file name`, {
      hint: 'No "/", control character or unpaired brace, not starting with "." or "-", at most 180 characters.',
    });
  }
  return { hasTime: used.some((name) => timePlaceholders.has(name)) };
}

/** The name of a backup. Its uniqueness is the destination's business: see `createNameVariant`. */
export function formatName(template: string, context: NameContext): string {
  checkNameTemplate(template);
  const at = Temporal.Instant.fromEpochMilliseconds(context.startedAtMs).toZonedDateTimeISO(context.timezone);
  const two = (value: number): string => String(value).padStart(2, "0");
  const year = String(at.year).padStart(4, "0");
  const values: Record<Placeholder, string> = {
    YYYY: year,
    MM: two(at.month),
    DD: two(at.day),
    HH: two(at.hour),
    mm: two(at.minute),
    ss: two(at.second),
    YYYYMMDD: `${year}${two(at.month)}${two(at.day)}`,
    HHmmss: `${two(at.hour)}${two(at.minute)}${two(at.second)}`,
    job: context.job,
    host: context.host,
  };
  return template.replaceAll(/\{([^}]*)\}/g, (_, name: Placeholder) => values[name]);
}

/** The name itself for attempt 1, then `name-2`, `name-3` …: a second run in one day never overwrites the first (A4). */
export function createNameVariant(name: string, attempt: number): string {
  return attempt === 1 ? name : `${name}-${attempt}`;
}
