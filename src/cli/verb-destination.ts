import { resolveGiven } from "./resolve-given.ts";
import type { Verb } from "./verb.ts";

const descriptions = {
  init: "Make a new destination and write its marker",
  adopt: "Accept a directory that holds something already, and write its marker",
} as const;

export const destinationVerb: Verb = {
  name: "destination",
  help: {
    daemon: "none",
    exits: {
      1: "the place cannot be made or written to",
      4: "no such destination in the config; config: no backup there carries a config",
      5: "there is something already: see adopt",
    },
    json: "{destination, summary}; config: {config, sources: [{job, backup, host, createdAt, form}], needed: [{key, kind, at, was, default}], conflicts, passedOver: [{name, reason}]}",
    examples: [
      "holdfast destination config /mnt/disk > holdfast.yaml    # on a new machine: the config that the backups carry",
      "holdfast destination init local",
      "holdfast destination adopt nas    # after moving the directory to another disk",
    ],
  },
  define(command, run) {
    command.description("Make or accept the places where backups are kept");
    for (const mode of ["init", "adopt"] as const) {
      command
        .command(mode)
        .description(descriptions[mode])
        .argument("<name>", "destination of the config; or the path of a directory, for backup --destination PATH")
        .action((given: string) =>
          run(async ({ loadConfig, terminal, signal }) => {
            const { openDestination } = await import("../operations/verify.ts");
            const { describeDestination } = await import("../operations/find-config.ts");
            const { findPlace } = await import("../operations/find-place.ts");
            const config = await loadConfig();
            const name = await findPlace(config, resolveGiven(given));
            await using destination = await openDestination(describeDestination(config, name));
            await destination.initialize(mode, signal);
            const { summary } = await destination.probe(signal);
            if (terminal.json === "json") terminal.printJson({ destination: name, summary });
            else terminal.print(`Destination "${name}" is ready: ${summary}`);
            return 0;
          }),
        );
    }
    command
      .command("config")
      .description("Print the config that the newest backups carry: secrets are listed, not contained; needs no daemon and no config")
      .argument("<destination>", "destination of the config; or the path of a directory with backups, or of one backup")
      .option("--job <job>", "of this job")
      .action((given: string, options: { readonly job?: string }) =>
        run(async (context) => {
          const { printDestinationConfig } = await import("./offline/destination-config.ts");
          return await printDestinationConfig(given, options.job, context);
        }),
      );
  },
};
