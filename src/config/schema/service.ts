import { z } from "zod";
import { durationField } from "../../base/fields.ts";
import { pickDefined } from "../../base/pick-defined.ts";
import { describeFound } from "../../base/describe-found.ts";
import type { Hook, ServiceConfig, StateQuestion } from "../config.ts";
import { hooksField, hookTimeoutMs, programFields, refuseForeign, requireOne, serviceField, unitField } from "./hook.ts";

const maxDowntimeMs = 10 * 60_000;
/** Timers do not go further. */
const longestDowntimeMs = 24 * 3_600_000;
const askTimeoutMs = 30_000;
const hookKeys = ["stop", "start", "pause", "resume"] as const;

const containerField = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, {
  error: (issue) => `expected the name of a container, found ${describeFound(issue.input)}`,
});

const { file, project, directory, env } = programFields;
const fields = z.strictObject({
  unit: unitField.optional().describe("A systemd unit."),
  dockerCompose: serviceField.optional().describe("A service of docker compose."),
  file,
  project,
  directory,
  docker: containerField.optional().describe("A container, by its name."),
  env: env.describe("With dockerCompose: variables of the docker client."),
  stop: hooksField("stop", "to stop it, when it is something else than a unit or a container").optional(),
  start: hooksField("start", "to start it again").optional(),
  pause: hooksField("pause", "to freeze it in mid-air").optional(),
  resume: hooksField("resume", "to let it go on").optional(),
  running: hooksField("start", "to ask whether it runs: exit status 0 says yes, 1 or 3 no; one that is down stays down").optional(),
  maxDowntime: durationField("How long it may stand still for a copy; 10m by default.", { minMs: 100 })
    .refine((ms) => ms <= longestDowntimeMs, "at most 24h")
    .optional(),
});

type Fields = z.output<typeof fields>;

/** Whose server a datastore is. */
export const serviceConfigField: z.ZodType<ServiceConfig> = fields
  .superRefine((given, context) => {
    const own = hookKeys.filter((key) => given[key] !== undefined);
    if (own.length === 0 && given.running === undefined) requireOne(["unit", "dockerCompose", "docker", "stop"])(given, context);
    else refuseForeign(given, ["unit", "dockerCompose", "docker"], `beside ${own[0] ?? "running"}, which is for what is neither`, context);
    if (given.dockerCompose === undefined) refuseForeign(given, ["file", "project", "directory", "env"], "without dockerCompose", context);
    for (const [one, other] of [
      ["stop", "start"],
      ["pause", "resume"],
    ] as const)
      if ((given[one] === undefined) !== (given[other] === undefined))
        context.addIssue({ code: "custom", message: `${one} and ${other} belong together, and only one of them is there` });
    if ((given.running?.length ?? 1) !== 1) context.addIssue({ code: "custom", path: ["running"], message: "expected one command" });
  })
  .transform(createService)
  .describe("The server that the data belongs to: how it is stopped and started, or paused, for a copy or a restore.");

function createService(given: Fields): ServiceConfig {
  const { unit, dockerCompose, docker, stop, start, pause, resume, running } = given;
  const shared = { maxDowntimeMs: given.maxDowntime ?? maxDowntimeMs };
  if (unit !== undefined) {
    const name = /\.[a-z]+$/.test(unit) ? unit : `${unit}.service`;
    const run = (verb: string): readonly Hook[] => [{ command: ["systemctl", verb, name], timeoutMs: hookTimeoutMs }];
    const properties = ["LoadState", "ActiveState", "FreezerState", "InactiveExitTimestampMonotonic"].map((each) => `--property=${each}`);
    const command = ["systemctl", "show", ...properties, name];
    const hooks = { stop: run("stop"), start: run("start"), pause: run("freeze"), resume: run("thaw") };
    return { key: `unit:${name}`, what: `the unit ${name}`, ...hooks, ask: createQuestion("unit", command), ...shared };
  }
  if (docker !== undefined) {
    const run = (verb: string): readonly Hook[] => [{ command: ["docker", verb, docker], timeoutMs: hookTimeoutMs }];
    const hooks = { stop: run("stop"), start: run("start"), pause: run("pause"), resume: run("unpause") };
    const command = ["docker", "inspect", "--type=container", "--format={{.State.Status}} {{.State.StartedAt}}", docker];
    return { key: `docker:${docker}`, what: `the container ${docker}`, ...hooks, ask: createQuestion("container", command), ...shared };
  }
  if (dockerCompose !== undefined) return { ...createCompose(given, dockerCompose), ...shared };
  const own = { stop: stop ?? [], start: start ?? [], pause: pause ?? [], resume: resume ?? [] };
  const ask = running?.[0];
  return {
    key: `hooks:${JSON.stringify(Object.values(own).map((hooks) => hooks.map(({ command }) => command)))}`,
    what: "its server",
    ...own,
    ...(ask === undefined ? {} : { ask: { ...ask, answer: "status" as const } }),
    ...shared,
  };
}

function createCompose(given: Fields, name: string): Omit<ServiceConfig, "maxDowntimeMs"> {
  const place = [...(given.file === undefined ? [] : ["-f", given.file]), ...(given.project === undefined ? [] : ["-p", given.project])];
  const compose = ["docker", "compose", ...place];
  const surroundings = pickDefined({ cwd: given.directory, env: given.env });
  const run = (verb: string): readonly Hook[] => [{ command: [...compose, verb, name], timeoutMs: hookTimeoutMs, ...surroundings }];
  return {
    key: `compose:${JSON.stringify([given.file, given.project, given.directory, name])}`,
    what: `the service ${name} of docker compose`,
    stop: run("stop"),
    start: run("start"),
    pause: run("pause"),
    resume: run("unpause"),
    ask: { ...createQuestion("compose", [...compose, "ps", "--all", "--format", "json", name]), ...surroundings },
  };
}

function createQuestion(answer: StateQuestion["answer"], command: readonly string[]): StateQuestion {
  return { command, timeoutMs: askTimeoutMs, answer };
}
