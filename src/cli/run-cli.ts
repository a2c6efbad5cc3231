import { setImmediate } from "node:timers/promises";
import { Command, CommanderError } from "commander";
import { findClosest } from "../base/closest-name.ts";
import { HoldfastError, readErrno } from "../base/errors.ts";
import { loadProgram, type Program } from "../daemon/load-program.ts";
import { Terminal } from "./terminal.ts";
import type { Verb, VerbContext } from "./verb.ts";
import { formatVerbHelp } from "./verb-help.ts";
import { verbs } from "./verbs.ts";

const defaultConfigPath = "/etc/holdfast/holdfast.yaml";
const defaultSocketPath = "/run/holdfast/admin.sock";

interface GlobalOptions {
  readonly config?: string;
  readonly socket?: string;
  readonly json?: boolean;
  readonly color?: boolean;
}

const exitStatuses = `
Exit statuses:
  0  done                     5  busy, cancelled, or the wait was interrupted
  1  failed                   6  damaged
  2  wrong call or config     7  refused, or not confirmed
  3  partial or suspect       8  no daemon answers
  4  not found               70  a bug in Holdfast
\`holdfast help VERB\` tells more of each verb.`;

/** Runs the command line and gives the exit status. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  const onSignal = (): void => controller.abort(new HoldfastError("cancelled", "Interrupted"));
  // Once each: who asks twice does not want to wait.
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  // Whoever reads the output may have gone (`| head`), or its disk is full: a restore goes on to its end all the same.
  let lost: Error | undefined;
  const onLost = (error: Error): void => {
    if (readErrno(error) !== "EPIPE") lost ??= error;
  };
  process.stdout.on("error", onLost);
  process.stderr.on("error", onLost);
  let exit = 0;
  const root = createRootCommand(loadProgram(), controller.signal, (status) => {
    exit = status;
  });
  let failed: Command | undefined;
  for (const verb of root.commands) onFailure(verb, () => void (failed = verb));
  try {
    await root.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const wantsJson = argv.includes("--json") ? "json" : "text";
    exit = isHelp(error) ? 0 : new Terminal(wantsJson).fail(explainUsage(error, failed, root));
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
  // The failure of a last line is told by then.
  await setImmediate();
  return exit === 0 && lost !== undefined ? new Terminal("text").fail(explainLost(lost)) : exit;
}

/** The whole command line as commander knows it; `onExit` is given the exit status of the verb that ran. */
export function createRootCommand(program: Program, signal: AbortSignal, onExit: (status: number) => void): Command {
  const root = new Command("holdfast")
    .description("Backs up the datastores of a server, proves that the backups restore, and restores them safely")
    .version(program.version, "-V, --version", "print the version")
    .option("-c, --config <path>", `config file (env HOLDFAST_CONFIG, default ${defaultConfigPath})`)
    .option("--socket <path>", `control socket of the daemon (env HOLDFAST_SOCKET, default ${defaultSocketPath})`)
    .option("--json", "print one JSON document instead of text")
    .option("--no-color", "no colours")
    .helpOption("-h, --help", "print the help")
    .configureHelp({ helpWidth: 120, showGlobalOptions: false })
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addHelpText("after", exitStatuses);
  for (const verb of verbs) addVerb(root, verb, program, signal, onExit);
  addHelp(root);
  return root;
}

/** The library's own answers a question after an unknown verb with the help of all. */
function addHelp(parent: Command): void {
  parent
    .command("help")
    .description("print the help of a verb")
    .argument("[verb]")
    .action((name: string | undefined) => {
      const asked = name === undefined ? parent : parent.commands.find((command) => command.name() === name);
      if (asked === undefined) parent.error(`error: unknown command '${name}'`, { code: "commander.unknownCommand" });
      asked.outputHelp();
    });
}

/** Calls back before a verb, or one below it, is refused for the way it was called. */
function onFailure(command: Command, note: () => void): void {
  command.exitOverride((error) => {
    note();
    throw error;
  });
  for (const child of command.commands) onFailure(child, note);
}

function addVerb(root: Command, verb: Verb, program: Program, signal: AbortSignal, onExit: (status: number) => void): void {
  const command = root.command(verb.name);
  verb.define(command, async (action) => {
    const globals = root.opts<GlobalOptions>();
    // The questions choose their colours when they are loaded.
    if (globals.color === false) process.env["NO_COLOR"] = "1";
    const terminal = new Terminal(globals.json === true ? "json" : "text", globals.color === false ? "never" : "auto");
    try {
      onExit(await action(createContext(globals, terminal, program, signal)));
    } catch (error) {
      // What an abort makes of a request is no bug.
      onExit(terminal.fail(signal.aborted && !(error instanceof HoldfastError) ? signal.reason : error));
    }
  });
  if (command.commands.length > 0) addHelp(command);
  if (verb.help !== undefined) command.addHelpText("after", formatVerbHelp(verb.help));
}

function createContext(globals: GlobalOptions, terminal: Terminal, program: Program, signal: AbortSignal): VerbContext {
  const { env } = process;
  const path = globals.config ?? env["HOLDFAST_CONFIG"];
  const configPath = path ?? defaultConfigPath;
  // Loaded when needed: the parsers of the config are most of a short call's time.
  const loadConfig: VerbContext["loadConfig"] = async () =>
    await (await import("../config/load-config.ts")).loadConfig({ path: configPath, env, flags: {} });
  return {
    terminal,
    program,
    signal,
    configPath,
    loadConfig,
    async connect() {
      const { ControlClient } = await import("../control/client.ts");
      const socket = globals.socket ?? env["HOLDFAST_SOCKET"];
      if (socket !== undefined) return new ControlClient(socket);
      if (path !== undefined) return new ControlClient((await loadConfig().catch(rethrowForClient)).settings.socketPath);
      // The config says where the socket is; who may not read it, or finds it broken, gets the usual place.
      const config = await loadConfig().catch(() => undefined);
      return new ControlClient(config?.settings.socketPath ?? defaultSocketPath);
    },
  };
}

/** A daemon goes on with the config that it has loaded, whatever becomes of the file. */
function rethrowForClient(error: unknown): never {
  if (!(error instanceof HoldfastError) || error.code !== "config-invalid") throw error;
  const { message, cause, details } = error;
  const hint = `${error.hint === undefined ? "" : `${error.hint} `}A daemon that runs goes on with the config that it has: \`--socket PATH\` reaches it.`;
  throw new HoldfastError(error.code, message, { hint, cause, ...(details === undefined ? {} : { details }) });
}

const isHelp = ({ code, exitCode }: CommanderError): boolean => exitCode === 0 || code === "commander.help";

function explainUsage({ message, code }: CommanderError, verb: Command | undefined, root: Command): HoldfastError {
  const [first = "", ...more] = message.split("\n");
  const text = first.replace(/^error: /, "");
  const meant = code === "commander.unknownCommand" ? /unknown command '(.*)'/.exec(text)?.[1] : undefined;
  const closest = findClosest(
    meant ?? "",
    root.commands.map((command) => command.name()),
  );
  const suggested = /\(Did you mean (.*)\?\)/.exec(more.join(" "))?.[1] ?? closest;
  const suggestion = suggested === undefined ? undefined : `Did you mean "${suggested}"?`;
  const where = `\`holdfast help${verb === undefined ? "" : ` ${verb.name()}`}\` tells what there is.`;
  return new HoldfastError("usage", `${text.charAt(0).toUpperCase()}${text.slice(1)}`, {
    hint: suggestion === undefined ? where : `${suggestion} ${where}`,
  });
}

function explainLost(error: Error): HoldfastError {
  const code = readErrno(error) === "ENOSPC" ? "no-space" : "disk-failed";
  return new HoldfastError(code, `What was done is done, but not all of the output could be written: ${error.message}`, { cause: error });
}
