import { formatInstant } from "../base/clock.ts";
import { findClosest } from "../base/closest-name.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Verb } from "./verb.ts";

export const notifyTestVerb: Verb = {
  name: "notify-test",
  help: {
    daemon: "none",
    exits: { 0: "the channel took the message", 1: "it did not", 4: "no such channel in the config" },
    json: "{channel, outcome: told|failed, problem}",
    examples: ["holdfast notify-test ops"],
  },
  define(command, run) {
    command
      .description("Send a test message through a channel of the config, now and whatever it listens to")
      .argument("<channel>", "channel of the config")
      .action((channel: string) =>
        run(async ({ loadConfig, terminal, signal }) => {
          const { tellChannels } = await import("./tell-channels.ts");
          const config = await loadConfig();
          if (!config.channels.has(channel)) throw createUnknown(channel, [...config.channels.keys()]);
          const host = config.settings.hostname;
          const event = {
            at: formatInstant(Date.now()),
            host,
            kind: "success",
            title: `Holdfast on ${host}: test message`,
            text: "This channel works.",
            details: { test: true },
          } as const;
          const [told] = await tellChannels(config, event, [channel], signal);
          if (terminal.json === "json") terminal.printJson(told);
          else if (told?.outcome === "told") terminal.print(`The channel "${channel}" took the message.`);
          else terminal.print(`The channel "${channel}" did not take the message: ${told?.problem ?? ""}`);
          return told?.outcome === "told" ? 0 : 1;
        }),
      );
  },
};

function createUnknown(channel: string, known: readonly string[]): HoldfastError {
  const closest = findClosest(channel, known);
  const list = known.length === 0 ? "The config has no channels." : `Known: ${known.join(", ")}.`;
  return new HoldfastError("unknown-name", `There is no notification channel "${channel}"`, {
    hint: closest === undefined ? list : `Did you mean "${closest}"? ${list}`,
  });
}
