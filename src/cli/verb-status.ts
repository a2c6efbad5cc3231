import type { Status } from "../operations/read-status.ts";
import { describeStatus } from "./describe-status.ts";
import type { Verb } from "./verb.ts";

export const statusVerb: Verb = {
  name: "status",
  help: {
    exits: {
      0: "the status was read, whatever it says; with --check: ok",
      1: "with --check: warning",
      2: "with --check: failed, or a wrong call or config",
    },
    json: "{version, host, startedAt, state: ok|warning|failed, summary, jobs: [{job, enabled, state, problems, lastRun, newestGood, lastVerifiedAt, lastDrill, backups, storedBytes, next, frozen}], tasks: [{id, kind, job, state, requester, enqueuedAt, attempt, progress, waitingBecause}], unfinishedRestores, restores: [{id, job, backup, state: running|stuck, phase, startedAt, since, datastores: [{datastore, phase, swapped: no|partly|yes}], application: untouched|stopped|starting|started, preRestore, places, journal, problem, next}], holds: [{id, what, since, until, problem}], scratches: [{id, state, backup, job, createdAt, until, bytes, members}], pauses, configProblem, problems}; with --check {state, summary}",
    examples: ["holdfast status", "holdfast status --check    # for monitoring: one line, and the exit status says it"],
  },
  define(command, run) {
    command
      .description("How things stand: jobs, last backups, proofs, what runs and what comes next")
      .option("--check", "one line; exit status 0 ok, 1 warning, 2 failed")
      .action((options: { readonly check?: boolean }) =>
        run(async ({ connect, terminal, signal }) => {
          const status = await (await connect()).send<Status>({ method: "GET", path: "/status" }, signal);
          if (options.check === true) {
            if (terminal.json === "json") terminal.printJson({ state: status.state, summary: status.summary });
            else terminal.print(`${status.state.toUpperCase()}: ${status.summary}`);
            return { ok: 0, warning: 1, failed: 2 }[status.state];
          }
          if (terminal.json === "json") terminal.printJson(status);
          else for (const line of describeStatus(status, terminal)) terminal.print(line);
          return 0;
        }),
      );
  },
};
