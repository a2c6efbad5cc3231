import { isAbsolute } from "node:path";
import { z } from "zod";
import { checkCompression, compressionMethods, type Compression } from "../../archive/compression.ts";
import { checkNameTemplate, namePlaceholders } from "../../archive/name-template.ts";
import { findClosest } from "../../base/closest-name.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { parseRetention, type RetentionPolicy, type RetentionProblem } from "../../retention/policy.ts";
import { infoFileNames, layouts } from "../config.ts";
import { describeFound } from "../../base/describe-found.ts";
import { createParsedField, durationField } from "../../base/fields.ts";
import { scheduleField, timeZoneField } from "./fields.ts";
import { checksField, hooksField } from "./hook.ts";

const names = z.array(z.string().min(1));
const count = { type: "integer", minimum: 0 };
const countOrAll = { anyOf: [count, { const: "all" }] };

const retentionField: z.ZodType<RetentionPolicy> = z
  .unknown()
  .transform((input, context): RetentionPolicy => {
    try {
      return parseRetention(input);
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError)) throw thrown;
      const problems = (thrown.details?.["problems"] ?? []) as readonly RetentionProblem[];
      for (const { key, message } of problems) context.addIssue({ code: "custom", message, path: key === undefined ? [] : [key] });
      if (problems.length === 0) context.addIssue({ code: "custom", message: describeCause(thrown) });
      return z.NEVER;
    }
  })
  .meta({
    type: "object",
    properties: {
      keepLast: count,
      keepWithin: { type: "string" },
      keepDaily: countOrAll,
      keepWeekly: countOrAll,
      keepMonthly: countOrAll,
      keepYearly: countOrAll,
    },
    additionalProperties: false,
    description: "Which backups stay: those that any rule keeps. Left out, everything stays.",
  });

/** Of a job, and of a datastore: overrides the job's. */
export const compressionField = createParsedField(parseCompression, {
  anyOf: [
    { type: "string", pattern: "^(none|gzip|zstd)(:[0-9]+)?$" },
    {
      type: "object",
      properties: { method: { enum: [...compressionMethods] }, level: { type: "integer" } },
      required: ["method"],
      additionalProperties: false,
    },
  ],
  examples: ["zstd", "zstd:9", "gzip", "none"],
  description: "zstd unless the layout is file; the level after a colon.",
});

function parseCompression(input: unknown): Compression {
  const fields =
    typeof input === "object" && input !== null && !Array.isArray(input) ? (input as Readonly<Record<string, unknown>>) : undefined;
  const extra = Object.keys(fields ?? {}).find((key) => key !== "method" && key !== "level");
  const [, method, levelText] = /^([a-z]+)(?::(\d+))?$/i.exec(String(fields?.["method"] ?? input)) ?? [];
  const level = fields?.["level"] ?? (levelText === undefined ? undefined : Number(levelText));
  const known = compressionMethods.find((each) => each === method);
  if (known === undefined || extra !== undefined || (level !== undefined && typeof level !== "number")) {
    const meant = findClosest(String(method ?? input), compressionMethods);
    const hint = meant === undefined || known !== undefined ? "" : `; did you mean "${meant}"?`;
    throw new HoldfastError(
      "config-invalid",
      `expected ${compressionMethods.join(", ")}, or one with a level such as zstd:9, found ${describeFound(extra ?? input)}${hint}`,
    );
  }
  const compression = level === undefined ? { method: known } : { method: known, level };
  checkCompression(compression);
  return compression;
}

const nameField = createParsedField(
  (input) => {
    if (typeof input !== "string") throw new HoldfastError("config-invalid", `expected text, found ${describeFound(input)}`);
    if (checkNameTemplate(input).hasTime) return input;
    throw new HoldfastError("config-invalid", `the name ${describeFound(input)} has no time in it, so every backup would have the same`, {
      hint: "Add for example {YYYYMMDD}_{HHmmss}.",
    });
  },
  { type: "string", description: `Name of the backups. Placeholders: ${namePlaceholders.map((name) => `{${name}}`).join(" ")}.` },
);

const folderField = z
  .string()
  .refine((folder) => folder === "." || folder.split("/").every((part) => part !== "" && !part.startsWith(".")), {
    error: (issue) =>
      `expected a relative folder without "..", hidden or empty parts, or "." for the destination's root, found ${describeFound(issue.input)}`,
  })
  .refine(
    (folder) => !/[\\\p{Cc}]/u.test(folder) && folder.length <= 200,
    "a folder has no control characters or backslashes, and at most 200 characters",
  );

const ratio = z.number().gt(0).lt(1);
const off = z.union([z.literal("off"), z.literal(false)]).transform(() => "off" as const);

/** Of a datastore: overrides the job's. */
export const shrinkRatioField = z.union([off, z.strictObject({ ratio })]).describe("When a shrunken backup is suspect.");
const shrinkField = z
  .union([off, z.strictObject({ ratio: ratio.optional(), minHistory: z.int().min(1).max(1000).optional() })])
  .describe("A backup below ratio (0.5) times the median of the last ones is suspect, once there are minHistory (3); or off.");

/** Of a datastore: overrides the job's. */
export const onMissingField = z
  .enum(["fail", "skip"])
  .describe(
    "A datastore that is not there, or whose server does not run, fails the backup (fail, the default) or is left out of it (skip).",
  );

const restoreSchema = z.strictObject({
  stop: hooksField("stop").optional(),
  start: hooksField("start").optional(),
  check: checksField.optional(),
  undoKeep: durationField("How long a restore can be undone; 14d by default.").optional(),
  undoKeepLast: z.int().min(1).max(1000).optional().describe("How many restores can be undone at least; 3 by default."),
  askToStart: z.boolean().optional().describe("Ask before the applications are started again."),
});

const fixedCopyField = z.strictObject({
  datastore: z.string().min(1).describe("One of the job's datastores, which must be a single file in the backup."),
  path: z
    .string()
    .refine((path) => isAbsolute(path) && !path.endsWith("/") && !path.includes("\0"), "must be the absolute path of a file")
    .describe("The file; its directory must be there."),
  owner: z
    .string()
    .regex(/^[^:\s]+:[^:\s]+$/, 'must be "user:group"')
    .optional()
    .describe("user:group; by default that of the file that is replaced, else that of its directory."),
  mode: z
    .string('must be an octal mode in quotes, such as "0640"')
    .regex(/^0?[0-7]{3}$/, 'must be an octal mode in quotes, such as "0640"')
    .optional()
    .describe("Octal; 0640 by default."),
});

const jobFields = z.strictObject({
  enabled: z.boolean().optional(),
  datastores: names.min(1).describe("What is backed up."),
  onMissing: onMissingField.optional(),
  consistency: z
    .enum(["each", "group"])
    .optional()
    .describe(
      "each (the default): every datastore as it is when its turn comes. group: all of them as they are at one time, between freeze and thaw.",
    ),
  freeze: hooksField("pause", "so that the application writes nothing while the datastores of a group are copied").optional(),
  thaw: hooksField("resume", "so that the application goes on, whatever has happened").optional(),
  maxFreeze: durationField("The application is thawed after it, and the backup fails; 1m by default.", { minMs: 1 }).optional(),
  schedule: scheduleField("When it runs: daily, weekly, monthly, a cron text, every 6h, or a mapping.").optional(),
  timezone: timeZoneField.optional(),
  atStart: z.boolean().optional().describe("A backup when the daemon starts, unless a verified one younger than atStartMinAge exists."),
  atStartMinAge: durationField("By default half the interval, 1h for other schedules.").optional(),
  catchUp: z.boolean().optional().describe("A slot that was missed while the machine was off is made up for, once; true by default."),
  destination: z.string().min(1).describe("Where the backups go."),
  folder: folderField.optional().describe("Folder in the destination; the job's name by default."),
  copies: names.optional().describe("Further destinations."),
  fixedCopies: z
    .array(fixedCopyField)
    .optional()
    .describe("Files under names of their own, as they are, replaced at once after each good backup: for applications that read them."),
  layout: z.enum(layouts).optional().describe("directory: a folder per backup. archive: one tar file. file: the one file as it is."),
  name: nameField.optional(),
  nameZone: z.enum(["job", "utc"]).optional().describe("Whose clock the times in the name follow."),
  compression: compressionField.optional(),
  infoFiles: z.array(z.enum(infoFileNames)).optional().describe("Further descriptions that a backup carries."),
  retention: retentionField.optional(),
  verify: scheduleField("When all backups of the job are verified.").optional(),
  drill: scheduleField("When the newest backup is restored into a scratch place and compared.").optional(),
  shrink: shrinkField.optional(),
  restore: restoreSchema.optional(),
  notify: names.optional().describe("Channels that are told."),
  maxDuration: durationField("A run is stopped after it; 6h by default.", { minMs: 1000 }).optional(),
  maxAge: durationField("Alarm when no verified backup is younger.", { minMs: 1000 }).optional(),
  retry: z
    .strictObject({
      attempts: z.int().min(1).max(100).optional(),
      backoff: durationField("Wait before the second attempt; doubles; 1m by default.").optional(),
    })
    .optional()
    .describe("How often a run is tried when it may succeed later; 2 attempts by default."),
  nice: z.int().min(-20).max(19).optional(),
  ionice: z.enum(["idle", "best-effort"]).optional(),
});

const groupKeys = ["freeze", "thaw", "maxFreeze"] as const;

export const jobSchema = jobFields.superRefine((job, context) => {
  const refuse = (path: string, message: string): void => context.addIssue({ code: "custom", path: [path], message });
  if (job.consistency !== "group") {
    for (const key of groupKeys.filter((each) => job[each] !== undefined)) refuse(key, `${key} has no meaning without consistency: group`);
    return;
  }
  const lacking = (["freeze", "thaw"] as const).filter((key) => job[key] === undefined || job[key].length === 0);
  const [first] = lacking;
  if (first === undefined) return;
  const meaning = "what stops the application from writing, and what lets it go on";
  const stays = first === "thaw" ? "the application would stay frozen" : "nothing would stop the application from writing";
  refuse("consistency", lacking.length === 2 ? `a group needs freeze and thaw: ${meaning}` : `a group needs ${first}: ${stays}`);
});

export type ParsedJob = z.output<typeof jobSchema>;
