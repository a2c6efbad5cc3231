import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { resolveGiven } from "./resolve-given.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly note?: string;
  readonly destination?: string;
  readonly only?: readonly string[];
  readonly detach?: boolean;
}

export const backupVerb: Verb = {
  name: "backup",
  help: {
    exits: {
      0: "published and verified",
      1: "failed: nothing was published",
      3: "published, but partial or suspect",
      4: "no such job, datastore or destination",
      5: "cancelled, or the wait was interrupted",
      6: "what was written cannot be read back",
    },
    json: "{task, state, summary, runId, backupId, details: {name, destination, suspect, notes}}; with --detach {task, joined}",
    examples: [
      "holdfast backup nightly",
      "holdfast backup nightly --note 'before migration 42' || exit 1    # in a deploy script",
      "holdfast backup nightly --destination usb --only crm",
      "holdfast backup nightly --destination /mnt/stick/backups    # once: holdfast destination init /mnt/stick/backups",
    ],
  },
  define(command, run) {
    command
      .description("Back up a job now, wait for it, and exit by its outcome")
      .argument("<job>", "job of the config")
      .option("--note <text>", "what it is for; kept with the backup")
      .option("--destination <name or path>", "another destination for this one call, or the path of a directory that was made one")
      .option("--only <datastore...>", "only these datastores of the job")
      .option("--detach", "print the task and do not wait")
      .action((job: string, options: Options) =>
        run(async (context) => {
          const client = await context.connect();
          const { note, destination, only } = options;
          const body = {
            ...(note === undefined ? {} : { note }),
            ...(destination === undefined ? {} : { destination: resolveGiven(destination) }),
            ...(only === undefined ? {} : { datastores: only }),
          };
          const path = `/jobs/${encodeURIComponent(job)}/backups`;
          const asked = await client.send<AskedTask>({ method: "POST", path, body }, context.signal);
          return await finishAsked(context, client, asked, options);
        }),
      );
  },
};
