import { isAbsolute, normalize } from "node:path";
import { z } from "zod";
import { findClosest } from "../../base/closest-name.ts";
import { describeFound } from "../../base/describe-found.ts";
import { createParsedField } from "../../base/fields.ts";
import { parseSchedule, type Schedule } from "../../schedule/parse-schedule.ts";
import { parseTimeZone } from "../../schedule/parse-time-zone.ts";

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
