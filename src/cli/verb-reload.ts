import type { Verb } from "./verb.ts";

export const reloadVerb: Verb = {
  name: "reload",
  help: {
    exits: { 0: "the config is in force", 2: "the config was refused; the old one stays in force" },
    json: "{changed}",
    examples: ["holdfast reload", "systemctl reload holdfast    # does the same"],
  },
  define(command, run) {
    command.description("Have the daemon read its config again: all of it, or nothing").action(() =>
      run(async ({ connect, terminal, signal }) => {
        const answer = await (await connect()).send<{ readonly changed: boolean }>({ method: "POST", path: "/reload" }, signal);
        if (terminal.json === "json") terminal.printJson(answer);
        else terminal.print(answer.changed ? "The new config is in force." : "The config has not changed.");
        return 0;
      }),
    );
  },
};
