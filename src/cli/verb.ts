import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import type { ControlClient } from "../control/client.ts";
import type { Program } from "../daemon/load-program.ts";
import type { Terminal } from "./terminal.ts";
import type { VerbHelp } from "./verb-help.ts";

/** What every verb is given. */
export interface VerbContext {
  readonly terminal: Terminal;
  readonly program: Program;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** By --config, HOLDFAST_CONFIG, or the default. */
  readonly configPath: string;
  /** The client of the daemon's socket, by --socket, the config, or the default. */
  readonly connect: () => Promise<ControlClient>;
  /** Loads the config. @throws config-missing, config-invalid */
  readonly loadConfig: () => Promise<Config>;
}

/** Adds a verb to the program; its action returns the exit status. */
export interface Verb {
  readonly name: string;
  /** What stands below the options in its help. */
  readonly help?: VerbHelp;
  define(command: Command, run: (action: (context: VerbContext) => Promise<number>) => Promise<void>): void;
}
