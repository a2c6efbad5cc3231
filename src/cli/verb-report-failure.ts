import { formatInstant } from "../base/clock.ts";
import { wantsKind } from "../telemetry/channel.ts";
import type { Verb } from "./verb.ts";

export const reportFailureVerb: Verb = {
  name: "report-failure",
  help: {
    daemon: "none",
    exits: {
      0: "every channel that listens to failures was told",
      1: "at least one could not be told",
      2: "the config is broken: nobody was told",
    },
    json: "{unit, told: [{channel, outcome: told|failed, problem}]}",
    examples: ["holdfast report-failure holdfast.service    # OnFailure= of the unit does this"],
  },
  define(command, run) {
    command
      .description("Tell the config's channels that a unit failed; works without the daemon (systemd's OnFailure= calls it)")
      .argument("<unit>", "name of the unit that failed")
      .action((unit: string) =>
        run(async ({ loadConfig, terminal, signal }) => {
          const { tellChannels } = await import("./tell-channels.ts");
          const config = await loadConfig();
          const host = config.settings.hostname;
          const event = {
            at: formatInstant(Date.now()),
            host,
            kind: "failure",
            title: `${unit} failed on ${host}`,
            text: `The unit ${unit} has failed: no backup is made until it runs again. Look at \`systemctl status ${unit}\` and \`journalctl -u ${unit}\`.`,
            details: { unit },
          } as const;
          const names = [...config.channels.values()].filter((channel) => wantsKind(channel, "failure")).map(({ name }) => name);
          const told = await tellChannels(config, event, names, signal);
          if (terminal.json === "json") terminal.printJson({ unit, told });
          else if (told.length === 0) terminal.print("No channel of the config listens to failures.");
          else
            for (const { channel, outcome, problem } of told)
              terminal.print(`${channel}: ${problem === null ? outcome : `${outcome}: ${problem}`}`);
          return told.some(({ outcome }) => outcome === "failed") ? 1 : 0;
        }),
      );
  },
};
