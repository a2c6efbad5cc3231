import { open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { makeDirectory } from "../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../base/errors.ts";
import { starterConfig } from "./starter-config.ts";
import type { Verb } from "./verb.ts";

export const initVerb: Verb = {
  name: "init",
  help: {
    daemon: "none",
    exits: { 0: "the config is there now; one that was there before is left as it is", 1: "it cannot be written" },
    json: "{path, written: true|false}",
    examples: ["holdfast init", "holdfast --config ./holdfast.yaml init"],
  },
  define(command, run) {
    command.description("Write a commented starter config, unless there is one; asks nothing").action(() =>
      run(async ({ configPath, terminal }) => {
        const path = resolve(configPath);
        const written = await writeStarter(path);
        if (terminal.json === "json") terminal.printJson({ path, written });
        else if (written) {
          terminal.print(`${path} is written.`);
          terminal.tell("Next: put in what is to be protected, then `holdfast destination init local` and `holdfast check`.");
        } else terminal.print(`${path} is there already and was left as it is.`);
        return 0;
      }),
    );
  },
};

/** Never replaces a file: it is made with its name, or not at all. It may come to hold secrets, so others cannot read it. */
async function writeStarter(path: string): Promise<boolean> {
  try {
    await makeDirectory(dirname(path), 0o755);
    const file = await open(path, "wx", 0o640).catch((error: unknown) => {
      if (readErrno(error) === "EEXIST") return undefined;
      throw error;
    });
    if (file === undefined) return false;
    await using _ = file;
    await file.writeFile(starterConfig);
    await file.sync();
    return true;
  } catch (error) {
    const errno = readErrno(error);
    if (errno === undefined) throw error;
    throw new HoldfastError("destination-unwritable", `Cannot write ${path}: ${errno}`, {
      cause: error,
      hint: "Run it as root, or name another place with --config.",
    });
  }
}
