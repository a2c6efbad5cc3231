import type { Verb } from "./verb.ts";

export const cancelVerb: Verb = {
  name: "cancel",
  help: {
    exits: { 0: "cancelled, or told to end", 4: "no such task", 5: "it has ended already" },
    json: "{task, state}; a task whose state is running still cleans up",
    examples: ["holdfast cancel 1m7yr3p8bta2hw779xy6"],
  },
  define(command, run) {
    command
      .description("End a task: one that waits at once, one that runs after it has cleaned up")
      .argument("<task>", "id, as status and watch show it")
      .action((task: string) =>
        run(async ({ connect, terminal, signal }) => {
          const path = `/tasks/${encodeURIComponent(task)}`;
          const answer = await (
            await connect()
          ).send<{ readonly task: string; readonly state: string }>({ method: "DELETE", path }, signal);
          if (terminal.json === "json") terminal.printJson(answer);
          else terminal.print(answer.state === "cancelled" ? `${task} is cancelled` : `${task} is told to end (it is ${answer.state})`);
          return 0;
        }),
      );
  },
};
