import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../base/find-program.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Config, Hook } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { readField } from "./local-places.ts";

interface Command {
  readonly what: string;
  readonly hook: Pick<Hook, "command" | "runAs" | "cwd">;
}

/** Looks whether the operator's commands can be run at all; it runs none. */
export async function checkCommands(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const findings = listCommands(config).flatMap(({ what, hook }) => checkCommand(what, hook));
  for (const [account, users] of listAccounts(config)) findings.push(await checkAccount(account, users, signal));
  return findings;
}

function listCommands(config: Config): readonly Command[] {
  const hooks = [...config.jobs.values()].flatMap(({ name, restore, freeze, thaw }) => [
    ...freeze.map((hook) => ({ what: `freeze command of ${name}`, hook })),
    ...thaw.map((hook) => ({ what: `thaw command of ${name}`, hook })),
    ...restore.stop.map((hook) => ({ what: `stop command of ${name}`, hook })),
    ...restore.start.map((hook) => ({ what: `start command of ${name}`, hook })),
    ...restore.check.flatMap((check) => (check.kind === "command" ? [{ what: `check command of ${name}`, hook: check }] : [])),
  ]);
  const channels = [...config.channels.values()].flatMap((channel) =>
    channel.kind === "command" ? [{ what: `notify channel ${channel.name}`, hook: { command: channel.command } }] : [],
  );
  const services = [...config.datastores.values()].flatMap(({ name, service }) =>
    service === undefined
      ? []
      : [
          ...service.stop.map((hook) => ({ what: `stop command of the service of ${name}`, hook })),
          ...service.start.map((hook) => ({ what: `start command of the service of ${name}`, hook })),
          ...service.pause.map((hook) => ({ what: `pause command of the service of ${name}`, hook })),
          ...service.resume.map((hook) => ({ what: `resume command of the service of ${name}`, hook })),
        ],
  );
  return [...hooks, ...services, ...channels];
}

function checkCommand(what: string, { command, cwd }: Command["hook"]): readonly Finding[] {
  const [program = ""] = command;
  if (cwd !== undefined && !isDirectory(cwd))
    return [fail(what, `its working directory ${cwd} is not there`, "Make it, or correct the config.")];
  const path = program.includes("/") ? join(program.startsWith("/") ? "/" : (cwd ?? "/"), program) : findProgram(program);
  if (path === undefined) return [fail(what, `the program ${program} is not found`, "Give its absolute path.")];
  try {
    accessSync(path, constants.X_OK);
    const { mode, uid } = statSync(path);
    if (!statSync(path).isFile()) return [fail(what, `${path} is not a file`)];
    // What root will run must not be anybody's to change.
    if ((mode & 0o002) !== 0) return [fail(what, `everybody may change ${path}`, `chmod o-w ${path}`)];
    return [ok(what, `${path}${uid === 0 ? "" : `, owned by uid ${uid}`}`)];
  } catch {
    const isThere = statSync(path, { throwIfNoEntry: false }) !== undefined;
    return [fail(what, isThere ? `${path} is not executable` : `${path} is not there`, isThere ? `chmod +x ${path}` : undefined)];
  }
}

/** Accounts that the config names, and what for. */
function listAccounts(config: Config): ReadonlyMap<string, readonly string[]> {
  const accounts = new Map<string, string[]>();
  const add = (account: unknown, what: string): void => {
    if (typeof account === "string" && !/^\d+$/.test(account)) accounts.set(account, [...(accounts.get(account) ?? []), what]);
  };
  for (const { what, hook } of listCommands(config)) add(hook.runAs, what);
  for (const { name, options } of config.datastores.values()) add(readField(options, "runAs"), `source ${name}`);
  return accounts;
}

async function checkAccount(account: string, users: readonly string[], signal: AbortSignal): Promise<Finding> {
  const { stdout } = await runProgram("getent", ["passwd", "--", account], { accept: [0, 2], timeoutMs: 10_000 }, signal);
  const what = `account ${account}`;
  if (stdout === "") return fail(what, `there is no such user (${users.join(", ")})`, `adduser --system ${account}, or correct \`runAs\`.`);
  return process.geteuid?.() === 0 ? ok(what, `exists (${users.join(", ")})`) : warn(what, "exists; only root can act as another user");
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
