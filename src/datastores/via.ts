import { isAbsolute } from "node:path";
import { z } from "zod";
import { HoldfastError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";

const word = z.string().regex(/^[^-\0][^\0]*$/, "must be a name, and must not begin with -");
const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");

/** How a datastore's tools are run where the server is: in a container, on another machine. */
export const viaField = z
  .union([
    z.strictObject({
      dockerCompose: word.describe("Service whose container has the tools; run by `docker compose exec -T`."),
      file: absolutePath.optional().describe("The compose file."),
      project: word.optional().describe("Name of the compose project."),
      directory: absolutePath.optional().describe("Where the compose file is looked for."),
    }),
    z.strictObject({ docker: word.describe("Container that has the tools; run by `docker exec -i`.") }),
    z.strictObject({
      command: z
        .array(z.string().regex(/^[^\0]+$/, "must not be empty"))
        .min(1)
        .describe("Program and arguments that run what is appended to them, with standard input and output connected: `[ssh, host, --]`."),
    }),
  ])
  .describe("Runs the datastore's tools in a container or through a command.");

export type Via = z.output<typeof viaField>;

/** A program as it is to be run where the server is. */
export interface InnerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** As env, and never to be seen in an argument list. */
  readonly secrets?: Readonly<Record<string, Secret>>;
}

/** A program as it is run here. */
export interface OuterCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** What tells the Docker client which engine to talk to; Holdfast's own environment is passed to no other program. */
const clientVariables = ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"];

/**
 * The command that runs a program where `via` says, directly when it says nothing. Values of variables go by the environment of the Docker
 * client (`-e NAME` without a value): they are in no argument list.
 * @throws config-invalid for a secret that would have to go through a command of the operator's
 */
export function wrapCommand(via: Via | undefined, command: InnerCommand): OuterCommand {
  const { program, args } = command;
  const secrets = Object.fromEntries(Object.entries(command.secrets ?? {}).map(([name, secret]) => [name, secret.reveal()]));
  const env = { ...command.env, ...secrets };
  if (via === undefined) return { program, args, env };
  if ("command" in via) return wrapByCommand(via.command, command);
  const variables = Object.keys(env).flatMap((name) => ["-e", name]);
  const outerEnv = { ...readClientVariables(), ...env };
  if ("docker" in via) return { program: "docker", args: ["exec", "-i", ...variables, via.docker, program, ...args], env: outerEnv };
  const { dockerCompose, file, project, directory } = via;
  const place = [...(file === undefined ? [] : ["-f", file]), ...(project === undefined ? [] : ["-p", project])];
  return {
    program: "docker",
    args: ["compose", ...place, "exec", "-T", ...variables, dockerCompose, program, ...args],
    env: outerEnv,
    ...(directory === undefined ? {} : { cwd: directory }),
  };
}

function wrapByCommand(outer: readonly string[], { program, args, env = {}, secrets = {} }: InnerCommand): OuterCommand {
  const [first = "", ...rest] = outer;
  const [secret] = Object.keys(secrets);
  if (secret !== undefined) {
    throw new HoldfastError(
      "config-invalid",
      `A password (${secret}) cannot be passed through \`via.command\`: it would stand in an argument list`,
      {
        hint: "Leave the password out, and keep it where the tools run: in a passfile or a service file there, or in the user's own configuration.",
      },
    );
  }
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return { program: first, args: [...rest, ...(variables.length === 0 ? [] : ["env", ...variables]), program, ...args], env: {} };
}

/** For the Docker client: which engine to talk to. */
export function readClientVariables(): Record<string, string> {
  return Object.fromEntries(
    clientVariables.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** For people: "through docker compose service postgres". */
export function describeVia(via: Via): string {
  if ("docker" in via) return `in container ${via.docker}`;
  return "command" in via ? `through ${via.command[0] ?? ""}` : `in compose service ${via.dockerCompose}`;
}
