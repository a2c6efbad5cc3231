import { describeAge, describeBytes } from "../base/describe-amount.ts";
import { describeDuration } from "../base/parse-duration.ts";
import type { RestoreStatus } from "../operations/read-restores.ts";
import type { JobStatus, Status, TaskStatus } from "../operations/read-status.ts";
import { paintState } from "./finish-asked.ts";
import type { Terminal } from "./terminal.ts";

export const describeAgo = (at: string): string => `${describeAge(Date.now() - Date.parse(at))} ago`;

/** The whole status, for people. */
export function describeStatus(status: Status, terminal: Terminal): readonly string[] {
  const { colors } = terminal;
  return [
    `${colors.bold(`Holdfast ${status.version}`)} on ${status.host}: ${paintState(terminal, status.state)}`,
    ...status.problems.map((problem) => `  ${colors.yellow("!")} ${problem}`),
    ...status.holds.flatMap(({ what, until, problem }) =>
      problem === null ? [`  ${what} for a copy${until === null ? "" : `, until ${until} at the latest`}`] : [],
    ),
    ...status.restores.flatMap((restore) => ["", ...describeRestore(restore, terminal)]),
    ...status.pauses.map((pause) => `  ${colors.yellow("!")} ${pause}`),
    ...status.jobs.flatMap((job) => ["", ...describeJob(job, terminal)]),
    ...(status.scratches.length === 0 ? [] : ["", ...status.scratches.map(describeScratchLine)]),
    ...(status.tasks.length === 0 ? [] : ["", ...status.tasks.map((task) => describeTaskLine(task, terminal))]),
  ];
}

/** A restore that has not ended: how far it is, what is where, and what comes next. */
function describeRestore(restore: RestoreStatus, terminal: Terminal): readonly string[] {
  const { colors } = terminal;
  const line = (name: string, text: string): string => `  ${name.padEnd(17)} ${text}`;
  const { id, job, backup, state, phase, since, startedAt, datastores, application, preRestore, places, journal, problem, next } = restore;
  const title = `${backup === "" ? "" : ` of ${backup}`}${job === "" ? "" : `, job ${job}`}`;
  return [
    state === "stuck" ? colors.red(colors.bold(`RESTORE ${id}${title} IS NOT FINISHED`)) : colors.bold(`Restore ${id}${title}`),
    line("phase", `${phase}, ${describeAgo(since)}; begun ${describeAgo(startedAt)}`),
    ...datastores.map(({ datastore, phase: own, swapped }) => line(datastore, `${own}${describeSwapped[swapped]}`)),
    ...(application === "untouched" ? [] : [line("application", application === "stopped" ? colors.yellow("stopped") : application)]),
    ...(preRestore === null ? [] : [line("saved before", `${preRestore.name}, at ${preRestore.destination}`)]),
    ...(state === "running" ? [] : [...places.map((place) => line("look at", place)), line("journal", journal)]),
    ...(problem === null ? [] : [line("problem", problem)]),
    ...next.map((text) => line("next", text)),
  ];
}

const describeSwapped = { no: "; the data is the former one", partly: "; the data may be in part the restored one", yes: "" };

function describeJob(job: JobStatus, terminal: Terminal): readonly string[] {
  const line = (name: string, text: string): string => `  ${name.padEnd(17)} ${text}`;
  const { lastRun, newestGood, lastDrill } = job;
  const drill =
    lastDrill === null
      ? "never (holdfast drill)"
      : `${describeAgo(lastDrill.at)}: ${lastDrill.name} in ${describeDuration(lastDrill.tookMs)}`;
  return [
    `${terminal.colors.bold(job.job)}  ${paintState(terminal, job.state)}${job.enabled ? "" : " (disabled)"}`,
    ...(lastRun === null ? [] : [line("last run", `${lastRun.state}, ${describeAgo(lastRun.at)}: ${lastRun.summary}`)]),
    ...(newestGood === null
      ? []
      : [line("newest good", `${newestGood.name}, ${describeAgo(newestGood.at)}, at ${newestGood.destination}`)]),
    line("verified", job.lastVerifiedAt === null ? "never" : describeAgo(job.lastVerifiedAt)),
    line("proven to restore", drill),
    line("kept", `${job.backups} backup${job.backups === 1 ? "" : "s"}, ${describeBytes(job.storedBytes)}`),
    ...job.next.map(({ purpose, at, schedule }) => line(`next ${purpose}`, `${at} (${schedule})`)),
  ];
}

function describeScratchLine({ id, state, backup, until, bytes, members }: Status["scratches"][number]): string {
  const what = state === "ready" ? `${describeBytes(bytes)} of ${members.map(({ datastore }) => datastore).join(", ")}` : state;
  return `scratch ${id}  ${backup}: ${what}, until ${until} (holdfast scratch)`;
}

export function describeTaskLine(task: TaskStatus, terminal: Terminal): string {
  const what = `${task.kind}${task.job === null ? "" : ` of ${task.job}`}`;
  const phase =
    task.waitingBecause ?? [task.progress?.phase, task.progress?.datastore].filter((part) => typeof part === "string").join(" ");
  return `${task.id}  ${paintState(terminal, task.state)}  ${what}${phase === "" ? "" : `: ${phase}`}`;
}
