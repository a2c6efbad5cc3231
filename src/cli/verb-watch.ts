import { setTimeout as delay } from "node:timers/promises";
import type { ControlClient } from "../control/client.ts";
import type { Status } from "../operations/read-status.ts";
import { describeStatus, describeTaskLine } from "./describe-status.ts";
import { finishAsked } from "./finish-asked.ts";
import type { Verb, VerbContext } from "./verb.ts";

const everyMs = 1_000;

export const watchVerb: Verb = {
  name: "watch",
  help: {
    exits: {
      0: "the task ended well; without a task: the watching was ended by Ctrl-C",
      3: "the task ended partial or suspect",
      4: "no such task",
      5: "the task was cancelled, or the wait for it was interrupted",
      6: "the task found damage",
    },
    json: "with a task {task, state, summary, runId, backupId, details}; without one a status as status prints it, one per line, whenever it has changed",
    examples: ["holdfast watch", "holdfast watch 1m7yr3p8bta2hw779xy6"],
  },
  define(command, run) {
    command
      .description("Follow one task to its end, or the whole status until Ctrl-C")
      .argument("[task]", "id, as status shows it")
      .action((task: string | undefined) =>
        run(async (context) => {
          const client = await context.connect();
          if (task !== undefined) return await finishAsked(context, client, { task }, {});
          return await watchStatus(client, context);
        }),
      );
  },
};

async function watchStatus(client: ControlClient, { terminal, signal: interrupted }: VerbContext): Promise<number> {
  const unread = new AbortController();
  process.stdout.once("error", () => unread.abort());
  const signal = AbortSignal.any([interrupted, unread.signal]);
  let last = "";
  while (!signal.aborted) {
    try {
      const status = await client.send<Status>({ method: "GET", path: "/status" }, signal);
      const text = JSON.stringify(status);
      const show = terminal.json === "json" ? "json" : terminal.reader;
      if (show === "person") terminal.printScreen(describeStatus(status, terminal));
      else if (text !== last && show === "json") terminal.printJsonLine(status);
      else if (text !== last)
        for (const line of [status.summary, ...status.tasks.map((task) => `  ${describeTaskLine(task, terminal)}`)]) terminal.print(line);
      last = text;
      await delay(everyMs, undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
  return 0;
}
