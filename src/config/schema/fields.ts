import { isAbsolute, normalize } from "node:path";
import { z } from "zod";
import { findClosest } from "../../base/closest-name.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { parseDuration, type DurationLimits } from "../../base/parse-duration.ts";
import { Secret } from "../../base/secret.ts";
import { parseSchedule, type Schedule } from "../../schedule/parse-schedule.ts";
import { parseTimeZone } from "../../schedule/parse-time-zone.ts";
import { describeFound } from "../problem.ts";

/** JSON Schema of a field whose text has a grammar of its own, for editors. */
type FieldDocs = Readonly<Record<string, unknown>> & { readonly description: string };

/** A field that is read by a parse function: its HoldfastErrors become problems at the field. */
export function createParsedField<T>(parse: (input: unknown) => T, docs: FieldDocs): z.ZodType<T> {
  return z
    .unknown()
    .transform((input, context): T => {
      try {
        return parse(input);
      } catch (thrown) {
        if (!(thrown instanceof HoldfastError)) throw thrown;
        context.addIssue({ code: "custom", message: describeRefusal(thrown, input) });
        return z.NEVER;
      }
    })
    .meta(docs);
}

/** `Cannot read duration "5x": why` is said by its place already, so only what was found and why are told. */
function describeRefusal(error: HoldfastError, input: unknown): string {
  const shown = JSON.stringify(input) ?? String(input);
  const message = describeCause(error);
  const at = message.indexOf(`${shown}: `);
  const reason = message.slice(at + shown.length + 2);
  const isMapping = typeof input === "object" && input !== null;
  const why = !message.startsWith("Cannot ") || at === -1 ? message : isMapping ? reason : `cannot read ${describeFound(input)}: ${reason}`;
  return error.hint === undefined || why.includes("allowed are") ? why : `${why}. ${error.hint.replace(/\.$/, "")}`;
}

export function durationField(description: string, limits: DurationLimits = {}): z.ZodType<number> {
  return createParsedField((input) => parseDuration(input, limits), {
    type: "string",
    pattern: String.raw`^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$`,
    examples: ["90s", "30m", "6h", "30d"],
    description,
  });
}

const scheduleKeys = {
  cron: { type: "string" },
  every: { type: ["string", "integer"] },
  at: { type: "string" },
  timezone: { type: "string" },
  jitter: { type: "string" },
};
const scheduleNames = ["hourly", "daily", "weekly", "monthly"];

export function scheduleField(description: string): z.ZodType<Schedule> {
  const parsed = createParsedField((input) => parseSchedule(input), {
    anyOf: [
      { type: "string" },
      { type: "integer", minimum: 1000 },
      { type: "object", properties: scheduleKeys, additionalProperties: false },
    ],
    examples: ["daily", "0 3 * * *", "every 6h"],
    description,
  });
  // Told here because the parser does not know where the keys stand.
  const checked = z.unknown().superRefine((input, context) => {
    if (typeof input === "string" && !/\s/.test(input)) {
      const meant = findClosest(input, scheduleNames);
      if (meant === undefined || meant === input.toLowerCase()) return;
      context.addIssue({
        code: "custom",
        message: `there is no schedule ${describeFound(input)}`,
        params: { allowed: scheduleForms, didYouMean: meant },
        continue: false,
      });
    }
    if (typeof input !== "object" || input === null || Array.isArray(input)) return;
    for (const key of Object.keys(input).filter((each) => !Object.hasOwn(scheduleKeys, each))) {
      const facts = { allowed: Object.keys(scheduleKeys), didYouMean: findClosest(key, Object.keys(scheduleKeys)), at: "key" };
      context.addIssue({ code: "custom", message: `unknown key ${JSON.stringify(key)}`, path: [key], params: facts, continue: false });
    }
  });
  return checked.pipe(parsed);
}

const scheduleForms = [...scheduleNames, "a cron text", "every 6h", "{cron | every | at, timezone, jitter}"];

export const timeZoneField = createParsedField(parseTimeZone, {
  type: "string",
  examples: ["Europe/Berlin", "UTC"],
  description: "An IANA time zone.",
});

/** Normalised, without a slash at its end. */
export const absolutePathField = z
  .string()
  .refine((path) => isAbsolute(path), { error: (issue) => `the path must be absolute, found ${describeFound(issue.input)}` })
  .refine((path) => !path.includes("\0"), "the path holds a NUL")
  .transform((path) => (path === "/" ? path : normalize(path).replace(/\/$/, "")));

/** Text in the config, `{env: …}`, `{file: …}` or `{credential: …}`; never shown again. */
export const secretField = z
  .custom<Secret | string>((value) => value instanceof Secret || (typeof value === "string" && value !== ""), {
    error: (issue) => `expected a secret: {file: /path}, {credential: NAME} or {env: NAME}, found ${describeKind(issue.input)}`,
    params: { secret: true },
  })
  .transform((value) => (value instanceof Secret ? value : new Secret(value)))
  .meta({ type: "string", secret: true });

/** Never the value: it may be the secret. */
function describeKind(value: unknown): string {
  return typeof value === "object" || value === undefined ? describeFound(value) : value === "" ? "an empty text" : `a ${typeof value}`;
}

/** Of jobs, datastores, destinations and channels: they become parts of file names. */
export const namePattern = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u;

export const commandField = z
  .array(
    z.string().refine((word) => !word.includes("\0"), "the argument holds a NUL"),
    {
      error: (issue) => (issue.code === "invalid_type" && typeof issue.input === "string" ? describeBareCommand(issue.input) : undefined),
    },
  )
  .min(1)
  .superRefine((words, context) => {
    const program = words[0] ?? "";
    if (program === "") context.addIssue({ code: "custom", message: "the program's name is empty" });
    else if (program.includes("/") && !isAbsolute(program)) {
      context.addIssue({ code: "custom", message: `the program ${describeFound(program)} must be a bare name or an absolute path` });
    }
  });

export function describeBareCommand(text: string): string {
  const list = text
    .trim()
    .split(/\s+/)
    .map((word) => (/^[\w@./-]+$/.test(word) ? word : JSON.stringify(word)));
  return `a command is a list, found ${describeFound(text)}; write [${list.join(", ")}], or {shell: ${JSON.stringify(text)}} where a shell is needed`;
}
