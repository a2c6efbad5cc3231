import { describeAge } from "../base/describe-amount.ts";
import { describeDuration } from "../base/parse-duration.ts";
import type { Run } from "../catalog/contract.ts";
import { paintState } from "./finish-asked.ts";
import { printTable } from "./format-table.ts";
import { parseCount } from "./parse-count.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb } from "./verb.ts";

export const runsVerb: Verb = {
  name: "runs",
  help: {
    exits: { 4: "no such job" },
    json: "[{id, taskId, attempt, kind, job, trigger, note, state: running|ok|partial|suspect|failed|cancelled|interrupted|skipped|missed, startedAtMs, finishedAtMs, backupId, summary, error, bytes, details, missedCount}], newest first",
    examples: ["holdfast runs", "holdfast runs nightly --limit 10", "holdfast --json runs | jq '.[] | select(.state == \"failed\")'"],
  },
  define(command, run) {
    command
      .description("What was done, newest first: backups, restores, verifications, drills, removals, copies")
      .argument("[job]", "only of this job")
      .option("--limit <count>", "at most so many", parseCount, "20")
      .action((job: string | undefined, { limit }: { readonly limit: string }) =>
        run(async ({ connect, terminal, signal }) => {
          const query = new URLSearchParams({ limit, ...(job === undefined ? {} : { job }) });
          const runs = await (await connect()).send<readonly Run[]>({ method: "GET", path: `/runs?${query.toString()}` }, signal);
          if (terminal.json === "json") terminal.printJson(runs);
          else if (runs.length === 0 && terminal.reader === "person") terminal.print("No runs.");
          else
            printTable(
              terminal,
              ["started", "kind", "job", "state", "took", "by", "outcome"],
              runs.map((each) => describeRow(each, terminal)),
            );
          return 0;
        }),
      );
  },
};

function describeRow(run: Run, terminal: Terminal): readonly string[] {
  const { startedAtMs, finishedAtMs } = run;
  return [
    terminal.reader === "person" ? `${describeAge(Date.now() - startedAtMs)} ago` : new Date(startedAtMs).toISOString(),
    run.kind,
    run.job ?? "",
    paintState(terminal, run.state),
    finishedAtMs === undefined ? "" : describeDuration(Math.max(0, finishedAtMs - startedAtMs)),
    run.trigger,
    run.summary,
  ];
}
