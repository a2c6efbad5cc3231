import type { Status } from "../operations/read-status.ts";
import { describeBytes, describeAge } from "../base/describe-amount.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb } from "./verb.ts";

export const statusVerb: Verb = {
  name: "status",
  define(command, run) {
    command
      .description("How things stand: jobs, last backups, proofs, what runs and what comes next")
      .option("--check", "one line; exit status 0 ok, 1 warning, 2 failed (for monitoring)")
      .action((options: { readonly check?: boolean }) =>
        run(async ({ connect, terminal, signal }) => {
          const status = await (await connect()).send<Status>({ method: "GET", path: "/status" }, signal);
          if (options.check === true) {
            if (terminal.json === "json") terminal.printJson({ state: status.state, summary: status.summary });
            else terminal.print(`${status.state.toUpperCase()}: ${status.summary}`);
            return { ok: 0, warning: 1, failed: 2 }[status.state];
          }
          if (terminal.json === "json") terminal.printJson(status);
          else printStatus(status, terminal);
          return 0;
        }),
      );
  },
};

function printStatus(status: Status, terminal: Terminal): void {
  const { colors } = terminal;
  const paint = { ok: colors.green, warning: colors.yellow, failed: colors.red, never: colors.dim };
  terminal.print(`${colors.bold(`Holdfast ${status.version}`)} on ${status.host}: ${paint[status.state](status.state)}`);
  for (const problem of status.problems) terminal.print(`  ${colors.yellow("!")} ${problem}`);
  for (const job of status.jobs) {
    terminal.print("");
    terminal.print(`${colors.bold(job.job)}  ${paint[job.state](job.state)}${job.enabled ? "" : " (disabled)"}`);
    const ago = (at: string): string => `${describeAge(Date.now() - Date.parse(at))} ago`;
    if (job.lastRun !== null) terminal.print(`  last run         ${job.lastRun.state}, ${ago(job.lastRun.at)}: ${job.lastRun.summary}`);
    if (job.newestGood !== null)
      terminal.print(`  newest good      ${job.newestGood.name}, ${ago(job.newestGood.at)}, at ${job.newestGood.destination}`);
    terminal.print(`  verified         ${job.lastVerifiedAt === null ? "never" : ago(job.lastVerifiedAt)}`);
    terminal.print(
      `  proven to restore ${job.lastDrill === null ? "never (holdfast drill)" : `${ago(job.lastDrill.at)}: ${job.lastDrill.name} in ${job.lastDrill.tookMs} ms`}`,
    );
    terminal.print(`  kept             ${job.backups} backup${job.backups === 1 ? "" : "s"}, ${describeBytes(job.storedBytes)}`);
    for (const next of job.next) terminal.print(`  next ${next.purpose.padEnd(12)}${next.at} (${next.schedule})`);
  }
  if (status.tasks.length > 0) terminal.print("");
  for (const task of status.tasks) {
    const what = `${task.kind}${task.job === null ? "" : ` of ${task.job}`}`;
    terminal.print(`${task.state.padEnd(8)} ${what}: ${task.waitingBecause ?? task.progress?.phase ?? ""}`);
  }
}
