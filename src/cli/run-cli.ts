import { Command, CommanderError, Option } from "commander";
import { HoldfastError } from "../base/errors.ts";
import { loadConfig } from "../config/load-config.ts";
import { ControlClient } from "../control/client.ts";
import { loadProgram } from "../daemon/load-program.ts";
import { Terminal } from "./terminal.ts";
import type { VerbContext } from "./verb.ts";
import { verbs } from "./verbs.ts";

const defaultConfigPath = "/etc/holdfast/holdfast.yaml";
const defaultSocketPath = "/run/holdfast/admin.sock";

interface GlobalOptions {
  readonly config?: string;
  readonly socket?: string;
  readonly json?: boolean;
  readonly color?: boolean;
}

/** Runs the command line and gives the exit status. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const program = loadProgram();
  let exit = 0;
  const root = new Command("holdfast")
    .description("Backs up the datastores of a server, proves that the backups restore, and restores them safely")
    .version(program.version)
    .option("-c, --config <path>", `config file (env HOLDFAST_CONFIG, default ${defaultConfigPath})`)
    .addOption(new Option("--socket <path>", `control socket of the daemon (env HOLDFAST_SOCKET, default ${defaultSocketPath})`))
    .option("--json", "print one JSON document instead of text")
    .option("--no-color", "no colours")
    .exitOverride()
    .showHelpAfterError("(`holdfast help` lists the verbs)")
    .addHelpText(
      "after",
      "\nExit statuses: 0 done, 1 failed, 2 wrong call or config, 3 partial or suspect, 4 not found, 5 busy or cancelled,\n6 damaged, 7 refused, 8 no daemon, 70 bug. `holdfast help VERB` tells more.",
    );
  const controller = new AbortController();
  const onSignal = (): void => controller.abort(new HoldfastError("cancelled", "Interrupted"));
  process.once("SIGINT", onSignal);
  for (const verb of verbs) {
    const command = root.command(verb.name).exitOverride();
    verb.define(command, async (action) => {
      const globals = root.opts<GlobalOptions>();
      const terminal = new Terminal(globals.json === true ? "json" : "text");
      try {
        exit = await action(createContext(globals, terminal, program, controller.signal));
      } catch (error) {
        exit = terminal.fail(error);
      }
    });
  }
  try {
    await root.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    exit = error.exitCode === 0 ? 0 : 2;
  } finally {
    process.off("SIGINT", onSignal);
  }
  return exit;
}

function createContext(globals: GlobalOptions, terminal: Terminal, program: VerbContext["program"], signal: AbortSignal): VerbContext {
  const { env } = process;
  const path = globals.config ?? env["HOLDFAST_CONFIG"];
  const load = (): ReturnType<typeof loadConfig> => loadConfig({ path: path ?? defaultConfigPath, env, flags: {} });
  return {
    terminal,
    program,
    signal,
    loadConfig: load,
    async connect() {
      const socket = globals.socket ?? env["HOLDFAST_SOCKET"];
      if (socket !== undefined) return new ControlClient(socket);
      // The config says where the socket is; who may not read it gets the usual place.
      return new ControlClient(path === undefined ? defaultSocketPath : (await load()).settings.socketPath);
    },
  };
}
