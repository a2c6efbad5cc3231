import { z } from "zod";
import type { Check, Hook } from "../config.ts";
import { describeFound } from "../../base/describe-found.ts";
import { pickDefined } from "../../base/pick-defined.ts";
import { durationField } from "../../base/fields.ts";
import { Secret } from "../../base/secret.ts";
import { absolutePathField, commandField, describeBareCommand } from "./fields.ts";

const hookTimeoutMs = 120_000;
const attemptTimeoutMs = 10_000;
const retryForMs = 60_000;

const unitField = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9:_.@\\-]*$/, {
    error: (issue) => `expected the name of a systemd unit, found ${describeFound(issue.input)}`,
  })
  .describe("A systemd unit that is stopped, started or asked for.");

/** Any of them may be a password, so none is shown, and none stands in a manifest. Unlike a secret it may be empty. */
const valueField = z
  .custom<Secret | string>((value) => value instanceof Secret || typeof value === "string", {
    error: (issue) => `expected text or a secret: {file: /path}, {credential: NAME} or {env: NAME}, found a ${typeof issue.input}`,
    params: { secret: true },
  })
  .transform((value) => (value instanceof Secret ? value : new Secret(value)))
  .meta({ type: "string", secret: true });

const programFields = {
  command: commandField.optional().describe("Program and arguments; no shell."),
  shell: z.string().min(1).optional().describe("A command line for /bin/sh."),
  unit: unitField.optional(),
  runAs: z.string().min(1).optional().describe("The account that runs it."),
  cwd: absolutePathField.optional(),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a variable's name has letters, digits and _"), valueField).optional(),
};

const hookFields = z.strictObject({ ...programFields, timeout: durationField("Killed after it; 2m by default.", { minMs: 1 }).optional() });
const checkFields = z.strictObject({
  ...programFields,
  http: z
    .url({ protocol: /^https?$/, error: (issue) => `expected an http or https address, found ${describeFound(issue.input)}` })
    .optional(),
  status: z.int().min(100).max(599).optional().describe("The status that must come back; 200 by default."),
  contains: z.string().min(1).optional().describe("Text that the body must contain."),
  timeout: durationField("Of one attempt; 10s by default.", { minMs: 1 }).optional(),
  retryFor: durationField("Asked again for this long; 1m by default.").optional(),
});

type ProgramFields = Omit<z.output<typeof hookFields>, "timeout">;
type Action = "stop" | "start" | "is-active";

/** Exactly one of the keys has to be there. */
function requireOne(keys: readonly string[]) {
  return (fields: object, context: z.RefinementCtx): void => {
    const given = keys.filter((key) => Object.hasOwn(fields, key));
    if (given.length === 1) return;
    const found = given.length === 0 ? "none of them" : given.join(" and ");
    context.addIssue({ code: "custom", message: `exactly one of ${keys.join(", ")} is needed, found ${found}` });
  };
}

function createCommand({ command, shell, unit }: ProgramFields, action: Action): readonly string[] {
  if (unit !== undefined) return ["systemctl", action, ...(action === "is-active" ? ["--quiet"] : []), unit];
  return command ?? ["/bin/sh", "-c", shell ?? ""];
}

function createHook(fields: z.output<typeof hookFields>, action: Action): Hook {
  const { runAs, cwd, env, timeout } = fields;
  return { command: createCommand(fields, action), timeoutMs: timeout ?? hookTimeoutMs, ...pickDefined({ runAs, cwd, env }) };
}

/** One hook or a list of hooks, in their order. A hook is a list (the command), or a mapping with command, shell or unit. */
export function hooksField(action: "stop" | "start"): z.ZodType<readonly Hook[]> {
  const mapping = hookFields.superRefine(requireOne(["command", "shell", "unit"])).transform((fields) => createHook(fields, action));
  const list = commandField.transform((command) => createHook({ command }, action));
  return createListField(list, mapping).describe(`What is run to ${action} the applications around a restore.`);
}

function createListField<T>(list: z.ZodType<T>, mapping: z.ZodType<T>): z.ZodType<readonly T[]> {
  const item = z.union([list, mapping], {
    error: (issue) => (typeof issue.input === "string" ? describeBareCommand(issue.input) : undefined),
  });
  return z
    .unknown()
    .superRefine((input, context) => {
      if (isLostCommand(input)) context.addIssue({ code: "custom", message: describeLostCommand(input), continue: false });
    })
    .pipe(z.union([z.array(item), mapping.transform((one) => [one])]));
}

/** A list of texts is one command that lost its brackets, or several that need them. */
function isLostCommand(input: unknown): input is readonly string[] {
  return Array.isArray(input) && input.length > 1 && input.every((word) => typeof word === "string");
}

function describeLostCommand(words: readonly string[]): string {
  const example = words.some((word) => word.includes(" ")) ? "[{shell: ...}, {shell: ...}]" : `[[${words.join(", ")}]]`;
  return `expected a list of commands, each a list itself, found a list of texts; write ${example}`;
}

function createCheck(fields: z.output<typeof checkFields>): Check {
  const { http, status, contains, timeout, retryFor, runAs, cwd, env } = fields;
  const limits = { timeoutMs: timeout ?? attemptTimeoutMs, retryForMs: retryFor ?? retryForMs };
  if (http !== undefined) return { kind: "http", http, status: status ?? 200, ...limits, ...pickDefined({ contains }) };
  return { kind: "command", command: createCommand(fields, "is-active"), ...limits, ...pickDefined({ runAs, cwd, env }) };
}

function refuseMixed(fields: z.output<typeof checkFields>, context: z.RefinementCtx): void {
  const foreign = fields.http === undefined ? (["status", "contains"] as const) : (["runAs", "cwd", "env"] as const);
  for (const key of foreign.filter((each) => fields[each] !== undefined)) {
    context.addIssue({
      code: "custom",
      path: [key],
      message: `${key} has no meaning for ${fields.http === undefined ? "a command" : "an http check"}`,
    });
  }
}

export const checksField: z.ZodType<readonly Check[]> = createListField(
  commandField.transform((command) => createCheck({ command })),
  checkFields
    .superRefine(requireOne(["http", "command", "shell", "unit"]))
    .superRefine(refuseMixed)
    .transform(createCheck),
).describe("How a restore proves that the application is well.");
