import type { Verb } from "./verb.ts";

interface Options {
  readonly destination?: string;
  readonly offline?: boolean;
  readonly yes?: boolean;
}

interface Rebuilt {
  readonly destinations: readonly {
    readonly destination: string;
    readonly added: number;
    readonly changed: number;
    readonly vanished: readonly string[];
    readonly unreadable: readonly { readonly key: string; readonly reason: string }[];
  }[];
}

export const rebuildVerb: Verb = {
  name: "rebuild",
  help: {
    exits: {
      0: "the catalog says what is there",
      1: "a destination cannot be read",
      4: "no such destination",
      6: "a manifest cannot be read",
    },
    json: "{destinations: [{destination, added, changed, vanished, unreadable: [{key, reason}]}]}",
    examples: ["holdfast rebuild", "holdfast rebuild --destination nas", "holdfast rebuild --offline    # the state directory is lost"],
  },
  define(command, run) {
    command
      .description("Read the catalog anew from the manifests at the destinations")
      .option("--destination <name>", "only this destination")
      .option("--offline", "make a new state directory while the daemon is stopped")
      .option("-y, --yes", "with --offline: do not ask")
      .action((options: Options) =>
        run(async (context) => {
          const { connect, terminal, signal } = context;
          if (options.offline === true) {
            const { rebuildOffline } = await import("./offline/rebuild-offline.ts");
            return await rebuildOffline(context, options.yes === undefined ? {} : { yes: options.yes });
          }
          const body = options.destination === undefined ? {} : { destination: options.destination };
          const rebuilt = await (await connect()).send<Rebuilt>({ method: "POST", path: "/rebuild", body }, signal);
          if (terminal.json === "json") terminal.printJson(rebuilt);
          else for (const line of rebuilt.destinations.flatMap(describeRebuilt)) terminal.print(line);
          return rebuilt.destinations.some(({ unreadable }) => unreadable.length > 0) ? 6 : 0;
        }),
      );
  },
};

function describeRebuilt({ destination, added, changed, vanished, unreadable }: Rebuilt["destinations"][number]): readonly string[] {
  return [
    `${destination}: ${added} new, ${changed} changed, ${vanished.length} gone, ${unreadable.length} unreadable`,
    ...vanished.map((name) => `  gone: ${name}`),
    ...unreadable.map(({ key, reason }) => `  unreadable: ${key}: ${reason}`),
  ];
}
