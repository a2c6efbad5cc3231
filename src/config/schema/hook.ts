import { z } from "zod";
import type { Check, Hook } from "../config.ts";
import { describeFound } from "../../base/describe-found.ts";
import { pickDefined } from "../../base/pick-defined.ts";
import { durationField } from "../../base/fields.ts";
import { Secret } from "../../base/secret.ts";
import { absolutePathField, commandField, describeBareCommand } from "./fields.ts";

export const hookTimeoutMs = 120_000;
const attemptTimeoutMs = 10_000;
const retryForMs = 60_000;
/** A statement may have to read a whole table. */
const statementTimeoutMs = 60_000;

export const unitField = z
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

export const serviceField = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, {
  error: (issue) => `expected the name of a compose service, found ${describeFound(issue.input)}`,
});

/** One name, or a list whose order counts. */
function severalField(one: z.ZodType<string>, what: string): z.ZodType<string | string[]> {
  return z.union([one, z.array(one).min(1)], { error: (issue) => `expected ${what}, found ${describeFound(issue.input)}` });
}

export const programFields = {
  command: commandField.optional().describe("Program and arguments; no shell."),
  shell: z.string().min(1).optional().describe("A command line for /bin/sh."),
  unit: severalField(unitField, "the name of a systemd unit").optional().describe("Systemd units; several are taken in their order."),
  dockerCompose: severalField(serviceField, "the name of a compose service")
    .optional()
    .describe("Services of docker compose, stopped or started by it, or asked for."),
  file: absolutePathField.optional().describe("With dockerCompose: the compose file."),
  project: z.string().min(1).optional().describe("With dockerCompose: name of the project."),
  directory: absolutePathField.optional().describe("With dockerCompose: where the compose file is looked for."),
  runAs: z.string().min(1).optional().describe("The account that runs it."),
  cwd: absolutePathField.optional(),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a variable's name has letters, digits and _"), valueField).optional(),
};

const hookFields = z.strictObject({ ...programFields, timeout: durationField("Killed after it; 2m by default.", { minMs: 1 }).optional() });
const bound = z.number({ error: (issue) => `expected a number, found ${describeFound(issue.input)}` });
const checkFields = z.strictObject({
  ...programFields,
  http: z
    .url({ protocol: /^https?$/, error: (issue) => `expected an http or https address, found ${describeFound(issue.input)}` })
    .optional(),
  sql: z.string().min(1).optional().describe("A statement that reads one value of a datastore (sqlite, postgresql)."),
  datastore: z.string().min(1).optional().describe("With sql: the datastore that is asked."),
  equals: z.union([z.string(), z.number(), z.boolean()]).optional().describe("With sql: the value that must come back."),
  atLeast: bound.optional().describe("With sql: the smallest number that is right."),
  atMost: bound.optional().describe("With sql: the largest number that is right."),
  status: z
    .int()
    .min(0)
    .max(599)
    .optional()
    .describe("The HTTP status that must come back, 200 by default; or a command's exit status, 0 by default."),
  contains: z.string().min(1).optional().describe("Text that the body, or a command's standard output, must contain."),
  timeout: durationField("Of one attempt; 10s by default, 1m for sql.", { minMs: 1 }).optional(),
  retryFor: durationField("Asked again for this long; 1m by default.").optional(),
});

type ProgramFields = Omit<z.output<typeof hookFields>, "timeout">;
export type HookAction = "stop" | "start" | "pause" | "resume";
type Action = HookAction | "is-active";

/** What systemctl and docker compose call it. */
const verbs: Readonly<Record<Action, { readonly unit: string; readonly compose: string }>> = {
  stop: { unit: "stop", compose: "stop" },
  start: { unit: "start", compose: "start" },
  pause: { unit: "freeze", compose: "pause" },
  resume: { unit: "thaw", compose: "unpause" },
  "is-active": { unit: "is-active", compose: "ps" },
};

/** Exactly one of the keys has to be there. */
export function requireOne(keys: readonly string[]) {
  return (fields: object, context: z.RefinementCtx): void => {
    const given = keys.filter((key) => Object.hasOwn(fields, key));
    if (given.length === 1) return;
    const found = given.length === 0 ? "none of them" : given.join(" and ");
    context.addIssue({ code: "custom", message: `exactly one of ${keys.join(", ")} is needed, found ${found}` });
  };
}

/** Keys that say something only beside another one. */
export function refuseForeign(fields: object, foreign: readonly string[], what: string, context: z.RefinementCtx): void {
  for (const key of foreign.filter((each) => Object.hasOwn(fields, each)))
    context.addIssue({ code: "custom", path: [key], message: `${key} has no meaning ${what}` });
}

function refuseComposeKeys(fields: ProgramFields, context: z.RefinementCtx): void {
  if (fields.dockerCompose === undefined) refuseForeign(fields, ["file", "project", "directory"], "without dockerCompose", context);
  else refuseForeign(fields, ["cwd"], "for dockerCompose, which has directory", context);
}

interface Program {
  readonly command: readonly string[];
  /** Of a question: what its output holds when the answer is yes. */
  readonly contains?: string;
}

/** Several where units or services are to be taken one after the other. */
function createPrograms(fields: ProgramFields, action: Action): readonly Program[] {
  const { command, shell, unit, dockerCompose } = fields;
  if (unit !== undefined) {
    const flags = action === "is-active" ? ["--quiet"] : [];
    return [unit].flat().map((name) => ({ command: ["systemctl", verbs[action].unit, ...flags, name] }));
  }
  if (dockerCompose === undefined) return [{ command: command ?? ["/bin/sh", "-c", shell ?? ""] }];
  const { file, project } = fields;
  const place = [...(file === undefined ? [] : ["-f", file]), ...(project === undefined ? [] : ["-p", project])];
  const compose = ["docker", "compose", ...place];
  const services = [dockerCompose].flat();
  if (action !== "is-active") return services.map((service) => ({ command: [...compose, verbs[action].compose, service] }));
  return services.map((service) => ({ command: [...compose, "ps", "--status", "running", "--services", service], contains: service }));
}

/** Where and as whom a program runs. */
function pickSurroundings({ runAs, cwd, directory, env }: ProgramFields): Pick<Hook, "runAs" | "cwd" | "env"> {
  return pickDefined({ runAs, cwd: directory ?? cwd, env });
}

function createHooks(fields: z.output<typeof hookFields>, action: Action): readonly Hook[] {
  const { timeout } = fields;
  return createPrograms(fields, action).map(({ command }) => ({
    command,
    timeoutMs: timeout ?? hookTimeoutMs,
    ...pickSurroundings(fields),
  }));
}

/** One hook or a list of hooks, in their order. A hook is a list (the command), or a mapping with command, shell, unit or dockerCompose. */
export function hooksField(action: HookAction, what = `to ${action} the applications around a restore`): z.ZodType<readonly Hook[]> {
  const mapping = hookFields
    .superRefine(requireOne(["command", "shell", "unit", "dockerCompose"]))
    .superRefine(refuseComposeKeys)
    .transform((fields) => createHooks(fields, action));
  const list = commandField.transform((command) => createHooks({ command }, action));
  return createListField(list, mapping).describe(`What is run ${what}.`);
}

/** An item may stand for several. */
function createListField<T>(list: z.ZodType<readonly T[]>, mapping: z.ZodType<readonly T[]>): z.ZodType<readonly T[]> {
  const item = z.union([list, mapping], {
    error: (issue) => (typeof issue.input === "string" ? describeBareCommand(issue.input) : undefined),
  });
  return z
    .unknown()
    .superRefine((input, context) => {
      if (isLostCommand(input)) context.addIssue({ code: "custom", message: describeLostCommand(input), continue: false });
    })
    .pipe(z.union([z.array(item).transform((items) => items.flat()), mapping]));
}

/** A list of texts is one command that lost its brackets, or several that need them. */
function isLostCommand(input: unknown): input is readonly string[] {
  return Array.isArray(input) && input.length > 1 && input.every((word) => typeof word === "string");
}

function describeLostCommand(words: readonly string[]): string {
  const example = words.some((word) => word.includes(" ")) ? "[{shell: ...}, {shell: ...}]" : `[[${words.join(", ")}]]`;
  return `expected a list of commands, each a list itself, found a list of texts; write ${example}`;
}

function createChecks(fields: z.output<typeof checkFields>): readonly Check[] {
  const { http, sql, datastore, status, contains, timeout, retryFor, equals, atLeast, atMost } = fields;
  const limits = { timeoutMs: timeout ?? attemptTimeoutMs, retryForMs: retryFor ?? retryForMs };
  if (http !== undefined) return [{ kind: "http", http, status: status ?? 200, ...limits, ...pickDefined({ contains }) }];
  if (sql !== undefined) {
    const timeoutMs = timeout ?? statementTimeoutMs;
    return [{ kind: "sql", sql, datastore: datastore ?? "", ...limits, timeoutMs, ...pickDefined({ equals, atLeast, atMost }) }];
  }
  return createPrograms(fields, "is-active").map((program) => ({
    kind: "command",
    ...limits,
    ...pickDefined({ status, contains }),
    ...program,
    ...pickSurroundings(fields),
  }));
}

const programKeys = ["runAs", "cwd", "env"];
const valueKeys = ["datastore", "equals", "atLeast", "atMost"];

function refuseMixed(fields: z.output<typeof checkFields>, context: z.RefinementCtx): void {
  const { http, sql, unit, dockerCompose, status } = fields;
  const range = (least: number, most: number): void => {
    if (status === undefined || (status >= least && status <= most)) return;
    context.addIssue({ code: "custom", path: ["status"], message: `expected a number from ${least} to ${most}, found ${status}` });
  };
  if (http !== undefined) {
    refuseForeign(fields, [...programKeys, ...valueKeys], "for an http check", context);
    return range(100, 599);
  }
  if (sql !== undefined) {
    refuseForeign(fields, [...programKeys, "status", "contains"], "for an sql check", context);
    if (fields.datastore === undefined) context.addIssue({ code: "custom", message: "an sql check needs the datastore that it asks" });
    const bounds = (["equals", "atLeast", "atMost"] as const).filter((key) => fields[key] !== undefined);
    if (bounds.length > 1)
      context.addIssue({ code: "custom", message: `only one of equals, atLeast, atMost is possible, found ${bounds.join(" and ")}` });
    return undefined;
  }
  refuseForeign(fields, valueKeys, "for a command", context);
  if (unit !== undefined) refuseForeign(fields, ["status", "contains"], "for a unit, which is asked whether it is active", context);
  if (dockerCompose !== undefined)
    refuseForeign(fields, ["status", "contains"], "for dockerCompose, which is asked whether it runs", context);
  range(0, 255);
}

export const checksField: z.ZodType<readonly Check[]> = createListField<Check>(
  commandField.transform((command) => createChecks({ command })),
  checkFields
    .superRefine(requireOne(["http", "sql", "command", "shell", "unit", "dockerCompose"]))
    .superRefine(refuseMixed)
    .superRefine(refuseComposeKeys)
    .transform(createChecks),
).describe("How a restore proves that the application is well.");
