import { exitOf, followTask } from "./follow-task.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly note?: string;
  readonly destination?: string;
  readonly only?: readonly string[];
  readonly detach?: boolean;
}

export const backupVerb: Verb = {
  name: "backup",
  define(command, run) {
    command
      .description("Back up a job now, wait for it, and exit by its outcome")
      .argument("<job>", "job of the config")
      .option("--note <text>", "what it is for; kept with the backup")
      .option("--destination <name>", "another destination for this one call")
      .option("--only <datastore...>", "only these datastores of the job")
      .option("--detach", "do not wait")
      .addHelpText(
        "after",
        "\nExit status 0: published and verified; 3: partial or suspect; others: nothing was published.\nExample: holdfast backup nightly --note 'before migration 42' || exit 1",
      )
      .action((job: string, options: Options) =>
        run(async ({ terminal, connect, signal }) => {
          const client = await connect();
          const { note, destination, only, detach } = options;
          const body = {
            ...(note === undefined ? {} : { note }),
            ...(destination === undefined ? {} : { destination }),
            ...(only === undefined ? {} : { datastores: only }),
          };
          const asked = await client.send<{ task: string; joined: string }>(
            { method: "POST", path: `/jobs/${encodeURIComponent(job)}/backups`, body },
            signal,
          );
          if (detach === true) {
            if (terminal.json === "json") terminal.printJson(asked);
            else terminal.print(asked.task);
            return 0;
          }
          const outcome = await followTask(client, asked.task, terminal, signal);
          if (terminal.json === "json") terminal.printJson(outcome);
          else terminal.print(`${outcome.state}: ${outcome.summary}`);
          return exitOf(outcome);
        }),
      );
  },
};
