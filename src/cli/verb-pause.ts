import type { Pause } from "../queue/contract.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly reason?: string;
}

function definePause(name: "pause" | "resume", description: string, examples: readonly string[]): Verb {
  return {
    name,
    help: { exits: { 4: "no such job" }, json: "{pauses: [{job, reason, pausedAtMs}]}; a pause of everything has no job", examples },
    define(command, run) {
      command.description(description).argument("[job]", "only this job (default: everything)");
      if (name === "pause") command.option("--reason <text>", "why; shown in the status");
      command.action((job: string | undefined, { reason }: Options) =>
        run(async ({ connect, terminal, signal }) => {
          const body = { ...(job === undefined ? {} : { job }), ...(reason === undefined ? {} : { reason }) };
          const client = await connect();
          const answer = await client.send<{ readonly pauses: readonly Pause[] }>({ method: "POST", path: `/${name}`, body }, signal);
          if (terminal.json === "json") terminal.printJson(answer);
          else for (const line of describePauses(answer.pauses)) terminal.print(line);
          return 0;
        }),
      );
    },
  };
}

function describePauses(pauses: readonly Pause[]): readonly string[] {
  if (pauses.length === 0) return ["Nothing is paused."];
  return pauses.map(({ job, reason }) => {
    const what = job === undefined ? "Everything" : `Job "${job}"`;
    return `${what} is paused${reason === undefined ? "" : `: ${reason}`}. What runs goes on; nothing new starts.`;
  });
}

export const pauseVerb = definePause("pause", "Start nothing new, of one job or of all; survives restarts", [
  "holdfast pause",
  "holdfast pause nightly --reason 'migration tonight'",
]);
export const resumeVerb = definePause("resume", "Go on after a pause", ["holdfast resume", "holdfast resume nightly"]);
