import type { JobStatus, Status } from "../operations/read-status.ts";
import { describeAgo } from "./describe-status.ts";
import { paintState } from "./finish-asked.ts";
import { printTable } from "./format-table.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb } from "./verb.ts";

export const jobsVerb: Verb = {
  name: "jobs",
  help: {
    json: "[{job, enabled, state, next: [{purpose: backup|verify|drill, at, schedule}], lastRun: {state, at, summary} | null, newestGood, backups, storedBytes, …}], as in status",
    examples: [
      "holdfast jobs",
      "holdfast jobs | cut -f1    # on a pipe: name, state, next, last run's time, its state, schedules; tabs between",
    ],
  },
  define(command, run) {
    command.description("Jobs with their schedules, what comes next and how the last run ended").action(() =>
      run(async ({ connect, terminal, signal }) => {
        const { jobs } = await (await connect()).send<Status>({ method: "GET", path: "/status" }, signal);
        if (terminal.json === "json") terminal.printJson(jobs);
        else if (jobs.length === 0 && terminal.reader === "person") terminal.print("The config has no jobs.");
        else
          printTable(
            terminal,
            ["job", "state", "next", "last run", "ended", "schedules"],
            jobs.map((job) => describeRow(job, terminal)),
          );
        return 0;
      }),
    );
  },
};

function describeRow(job: JobStatus, terminal: Terminal): readonly string[] {
  const next = job.next.map(({ at }) => at).toSorted()[0];
  const ranAt = job.lastRun?.at;
  return [
    job.job,
    job.enabled ? paintState(terminal, job.state) : "disabled",
    next ?? "on demand",
    ranAt === undefined ? "" : terminal.reader === "person" ? describeAgo(ranAt) : ranAt,
    job.lastRun === null ? "never" : paintState(terminal, job.lastRun.state),
    job.next.map(({ purpose, schedule }) => `${purpose} ${schedule}`).join("; "),
  ];
}
