import { describeBytes } from "../base/describe-amount.ts";
import type { DestinationReport, JobReport, Report } from "../operations/read-report.ts";
import { describeAgo } from "./describe-status.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb } from "./verb.ts";

export const reportVerb: Verb = {
  name: "report",
  help: {
    json: "{at, host, jobs: [{job, backups, copies, storedBytes, newest: [{id, name, destination, createdAt, storedBytes, good, lacks}], oldest, noneInLastDay, olderThan30Days: {backups, storedBytes}}], destinations: [{destination, copies, storedBytes, freeBytes, totalBytes, problem}]}",
    examples: ["holdfast report", "holdfast report | mail -s 'backups' root"],
  },
  define(command, run) {
    command.description("Per job the newest five, disk use, oldest, count, none in the last 24 h, older than 30 days").action(() =>
      run(async ({ connect, terminal, signal }) => {
        const report = await (await connect()).send<Report>({ method: "GET", path: "/report" }, signal);
        if (terminal.json === "json") terminal.printJson(report);
        else for (const line of describeReport(report, terminal)) terminal.print(line);
        return 0;
      }),
    );
  },
};

function describeReport(report: Report, terminal: Terminal): readonly string[] {
  return [
    `Backups of ${report.host}, ${report.at}`,
    ...report.jobs.flatMap((job) => ["", ...describeJob(job, terminal)]),
    "",
    ...report.destinations.map(describeDestination),
  ];
}

function describeJob(job: JobReport, { colors }: Terminal): readonly string[] {
  const { backups, copies, storedBytes, oldest, olderThan30Days: old } = job;
  const line = (name: string, text: string): string => `  ${name.padEnd(20)} ${text}`;
  return [
    colors.bold(job.job),
    line("backups", `${backups}${copies > backups ? ` (${copies} copies)` : ""}, ${describeBytes(storedBytes)}`),
    ...(oldest === null ? [] : [line("oldest", `${oldest.name}, ${describeAgo(oldest.createdAt)}`)]),
    line("in the last 24 hours", job.noneInLastDay ? colors.red("none") : "yes"),
    line("older than 30 days", `${old.backups}, ${describeBytes(old.storedBytes)}`),
    ...job.newest.map(({ name, createdAt, storedBytes: bytes, good, lacks }) => {
      const trouble = `not good${lacks.length === 0 ? "" : `: without all of ${lacks.join(", ")}`}`;
      return line("", `${name}  ${describeAgo(createdAt)}  ${describeBytes(bytes)}${good ? "" : `  ${colors.yellow(trouble)}`}`);
    }),
  ];
}

function describeDestination({ destination, copies, storedBytes, freeBytes, totalBytes, problem }: DestinationReport): string {
  const free =
    freeBytes === null ? "" : `, ${describeBytes(freeBytes)} free${totalBytes === null ? "" : ` of ${describeBytes(totalBytes)}`}`;
  return `Destination ${destination}: ${copies} backup${copies === 1 ? "" : "s"}, ${describeBytes(storedBytes)}${problem === null ? free : `; ${problem}`}`;
}
