import type { CatalogBackup } from "../catalog/contract.ts";
import { printBackups } from "./describe-backup.ts";
import { parseCount } from "./parse-count.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly destination?: string;
  readonly preRestore?: boolean;
  readonly limit: string;
  readonly offline?: string;
}

export const listVerb: Verb = {
  name: "list",
  help: {
    exits: { 4: "no such job or destination" },
    json: "[{id, name, job, class, destination, folder, createdAtMs, storedBytes, plainBytes, status, suspect, note, members: [{datastore, kind, status, plainBytes, entries, snapshot?: {atMs, copying, heldMs}}], group?: {firstAtMs, lastAtMs, frozenMs}, pinned, verifiedAtMs, drilledAtMs, drillMs, damaged, accepted, missingSinceMs, …}], newest first",
    examples: [
      "holdfast list",
      "holdfast list nightly | cut -f1    # on a pipe: name, job, destination, time, bytes, states, datastores, note; tabs between",
      "holdfast list --offline /mnt/rescued/backups",
    ],
  },
  define(command, run) {
    command
      .description("Backups, newest first, with sizes, ages and proofs")
      .argument("[job]", "only of this job")
      .option("--destination <name>", "only at this destination")
      .option("--pre-restore", "what was saved before restores")
      .option("--limit <count>", "at most so many", parseCount, "50")
      .option("--offline <path>", "read this directory or backup; needs no daemon, catalog or config")
      .action((job: string | undefined, options: Options) =>
        run(async (context) => {
          const { connect, terminal, signal } = context;
          const { offline, destination, preRestore, limit } = options;
          if (offline !== undefined) {
            const { listOffline } = await import("./offline/list-offline.ts");
            return await listOffline(context, {
              path: offline,
              limit,
              ...(job === undefined ? {} : { job }),
              ...(preRestore === undefined ? {} : { preRestore }),
            });
          }
          const query = new URLSearchParams({ limit, class: preRestore === true ? "pre-restore" : "backup" });
          if (job !== undefined) query.set("job", job);
          if (destination !== undefined) query.set("destination", destination);
          const client = await connect();
          const backups = await client.send<readonly CatalogBackup[]>({ method: "GET", path: `/backups?${query.toString()}` }, signal);
          if (terminal.json === "json") terminal.printJson(backups);
          else {
            printBackups(backups, terminal);
            const [newest] = backups;
            if (terminal.reader === "person" && newest !== undefined) terminal.tell(`\nTo restore one: holdfast restore ${newest.name}`);
          }
          return 0;
        }),
      );
  },
};
