import { openDestination } from "../operations/verify.ts";
import { describeDestination } from "../operations/find-config.ts";
import type { Verb } from "./verb.ts";

export const destinationVerb: Verb = {
  name: "destination",
  define(command, run) {
    command.description("Make or accept the places where backups are kept");
    for (const mode of ["init", "adopt"] as const) {
      command
        .command(mode)
        .description(
          mode === "init"
            ? "Make a new destination and write its marker"
            : "Accept a directory that holds something already, and write its marker",
        )
        .argument("<name>", "destination of the config")
        .action((name: string) =>
          run(async ({ loadConfig, terminal, signal }) => {
            await using destination = await openDestination(describeDestination(await loadConfig(), name));
            await destination.initialize(mode, signal);
            const { summary } = await destination.probe(signal);
            if (terminal.json === "json") terminal.printJson({ destination: name, summary });
            else terminal.print(`Destination "${name}" is ready: ${summary}`);
            return 0;
          }),
        );
    }
  },
};
