import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { Verb } from "./verb.ts";

interface Options extends ScopeOptions {
  readonly detach?: boolean;
}

export const copyVerb: Verb = {
  name: "copy",
  help: {
    exits: {
      0: "copied, read back and published",
      1: "failed: nothing was published there",
      4: "no such backup or destination",
      5: "cancelled, or the wait was interrupted",
      6: "the backup is damaged",
    },
    json: "{task, state, summary, runId, backupId, details: {name, to}}",
    examples: ["holdfast copy latest usb --job nightly", "holdfast copy nightly_20260101_030000 nas"],
  },
  define(command, run) {
    command
      .description("Copy a backup to another destination and read the copy back")
      .argument("<backup>", `${backupForms}, or \`latest\``)
      .argument("<to>", "destination of the config")
      .option("--job <job>", "of this job")
      .option("--destination <name>", "take the copy at this destination")
      .option("--detach", "print the task and do not wait")
      .action((backup: string, to: string, options: Options) =>
        run(async (context) => {
          const client = await context.connect();
          const body = { ...pickScope(options), to };
          const asked = await client.send<AskedTask>({ method: "POST", path: createBackupPath(backup, "/copy"), body }, context.signal);
          return await finishAsked(context, client, asked, options.detach === undefined ? {} : { detach: options.detach });
        }),
      );
  },
};
