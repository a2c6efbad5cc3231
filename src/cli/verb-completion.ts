import { Argument, type Command } from "commander";
import { formatCompletion, shells, type Shell } from "./format-completion.ts";
import type { Verb } from "./verb.ts";

export const completionVerb: Verb = {
  name: "completion",
  help: {
    daemon: "none",
    json: "{shell, script}",
    examples: [
      "source <(holdfast completion bash)",
      "holdfast completion bash > /etc/bash_completion.d/holdfast",
      "holdfast completion fish > ~/.config/fish/completions/holdfast.fish",
    ],
  },
  define(command, run) {
    command
      .description("Print the completion script of a shell")
      .addArgument(new Argument("<shell>", "the shell").choices(shells))
      .action((shell: Shell) =>
        run(({ terminal }) => {
          const script = formatCompletion(shell, findRoot(command));
          if (terminal.json === "json") terminal.printJson({ shell, script });
          else terminal.print(script.trimEnd());
          return Promise.resolve(0);
        }),
      );
  },
};

function findRoot(command: Command): Command {
  return command.parent === null ? command : findRoot(command.parent);
}
