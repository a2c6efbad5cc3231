import { HoldfastError } from "../base/errors.ts";
import { compressionSuffix, type CompressionMethod } from "./compression.ts";

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

/** The longest name in bytes: what is appended to it (`-1000.tar.zst.manifest.json`) must fit into the 255 that file systems have. */
const nameLimitBytes = 180;
/** Endings that tell what stands beside a backup. */
const reservedEnding = /(^|\.)(manifest\.json|events\.jsonl)$/;

/** Why a text cannot be the name of a backup; undefined when it can. */
export function findNameProblem(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (/^[.-]/.test(name)) return 'it starts with "." or "-"';
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be in a name
  if (/[/\\\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) return "it has a slash, backslash or control character in it";
  if (!name.isWellFormed()) return "it is no Unicode text";
  if (Buffer.byteLength(name) > 255 - ".manifest.json".length) return "it is too long";
  if (reservedEnding.test(name)) return "its ending is that of a manifest or events file";
  return undefined;
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
  const problem = /[{}]/.test(literal)
    ? "it has an unpaired brace in it"
    : Buffer.byteLength(literal) > nameLimitBytes
      ? "it is too long"
      : findNameProblem(literal);
  if (problem !== undefined) {
    throw new HoldfastError("config-invalid", `The name "${template}" does not give a plain file name: ${problem}`, {
      hint: `No "/", control character or unpaired brace, not starting with "." or "-", at most ${nameLimitBytes} bytes.`,
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
    job: makePlain(context.job),
    host: makePlain(context.host),
  };
  const name = template.replaceAll(/\{([^}]*)\}/g, (_, placeholder: Placeholder) => values[placeholder]);
  const problem = Buffer.byteLength(name) > nameLimitBytes ? `it is longer than ${nameLimitBytes} bytes` : findNameProblem(name);
  if (problem === undefined) return name;
  throw new HoldfastError(
    "config-invalid",
    `The name "${template}" gives ${JSON.stringify(name)}, which is no plain file name: ${problem}`,
  );
}

/** What came from outside keeps letters, digits, `.`, `_` and `-`, and starts with none of the last three. */
function makePlain(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N}._-]/gu, "-").replace(/^[.-]+/, "") || "x";
}

/**
 * What is appended to the name: by layout and compression; a `file` backup has the ending of the one file in it too.
 * @param fileName of that file; an ending that is no plain one is left out
 */
export function formatEnding(layout: "directory" | "archive" | "file", method: CompressionMethod, fileName: string): string {
  const suffix = compressionSuffix(method);
  switch (layout) {
    case "directory":
      return "";
    case "archive":
      return `.tar${suffix}`;
    case "file":
      return (/[^./](\.[A-Za-z0-9][A-Za-z0-9_+-]{0,15})$/.exec(fileName)?.[1] ?? "") + suffix;
  }
}

/** The name itself for attempt 1, then `name-2`, `name-3` …: a second run in one day never overwrites the first (A4). */
export function createNameVariant(name: string, attempt: number): string {
  return attempt === 1 ? name : `${name}-${attempt}`;
}
