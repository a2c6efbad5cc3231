import { describeAbsence } from "./watch-absence.ts";
import { listProofProblems } from "./list-proof-problems.ts";
import { listNextRuns } from "./run-schedules.ts";
import type { Core } from "./core.ts";
import type { Progress } from "./setup.ts";
import { readHolds, type HoldStatus } from "./hold/read-holds.ts";
import { readRestores, type RestoreStatus } from "./read-restores.ts";
import { describeScratches, type ScratchPlace } from "./scratch/describe-scratches.ts";
import type { Task } from "../queue/contract.ts";

export interface JobStatus {
  readonly job: string;
  readonly enabled: boolean;
  readonly state: "ok" | "warning" | "failed" | "never";
  /** Why it is not ok, one line each. */
  readonly problems: readonly string[];
  readonly lastRun: { readonly state: string; readonly at: string; readonly summary: string } | null;
  readonly newestGood: { readonly name: string; readonly at: string; readonly destination: string } | null;
  readonly lastVerifiedAt: string | null;
  readonly lastDrill: { readonly name: string; readonly at: string; readonly tookMs: number } | null;
  readonly backups: number;
  readonly storedBytes: number;
  readonly next: readonly { readonly purpose: string; readonly at: string; readonly schedule: string }[];
  readonly frozen: string | null;
}

export interface TaskStatus {
  readonly id: string;
  readonly kind: string;
  readonly job: string | null;
  readonly state: string;
  readonly requester: string;
  readonly enqueuedAt: string;
  readonly attempt: number;
  readonly progress: {
    readonly phase: string;
    readonly datastore: string | null;
    readonly bytes: number | null;
    readonly totalBytes: number | null;
    /** Where each datastore stands. */
    readonly datastores: readonly {
      readonly datastore: string;
      readonly phase: string;
      readonly bytes: number | null;
      readonly totalBytes: number | null;
    }[];
  } | null;
  readonly waitingBecause: string | null;
}

export interface Status {
  readonly version: string;
  readonly host: string;
  readonly startedAt: string;
  readonly state: "ok" | "warning" | "failed";
  /** One line for `systemctl status` and `status --check`. */
  readonly summary: string;
  readonly jobs: readonly JobStatus[];
  readonly tasks: readonly TaskStatus[];
  /** One line for each that is stuck. */
  readonly unfinishedRestores: readonly string[];
  /** Those that go on, and those that are stuck. */
  readonly restores: readonly RestoreStatus[];
  /** Services that stand still for a copy, and those that should not any more. */
  readonly holds: readonly HoldStatus[];
  /** Restored to be looked into. */
  readonly scratches: readonly ScratchPlace[];
  readonly pauses: readonly string[];
  /** Why the config file as it is now is not in force. */
  readonly configProblem: string | null;
  readonly problems: readonly string[];
}

const isoOf = (ms: number): string => new Date(ms).toISOString();

/** The state of everything, computed from what is on record. */
export function readStatus(core: Core): Status {
  const next = Map.groupBy(listNextRuns(core), ({ job }) => job);
  const jobs = [...core.config.jobs.values()].map((job) => readJobStatus(core, job.name, next.get(job.name) ?? []));
  const waiting = core.queue.explainAllWaiting();
  const tasks = core.queue
    .list({ states: ["running", "recovering", "waiting"] })
    .map((task) => describeTask(core, task, waiting.get(task.id)));
  const restores = readRestores(core);
  const unfinishedRestores = restores.filter(({ state: each }) => each === "stuck").map(describeStuck);
  const holds = readHolds(core.config.settings.stateDir, core.clock.now());
  const stuckHolds = holds.flatMap(({ problem }) => problem ?? []);
  const scratches = describeScratches(core.config.settings.stateDir, core.clock.now());
  const pauses = core.queue
    .pauses()
    .map(({ job, reason }) => `${job === undefined ? "everything" : `job "${job}"`} is paused${reason === undefined ? "" : `: ${reason}`}`);
  const configProblem = core.configProblem ?? null;
  const problems = [
    ...stuckHolds,
    ...unfinishedRestores,
    ...scratches.problems,
    ...(configProblem === null ? [] : [configProblem]),
    ...(core.clockJump === undefined ? [] : [core.clockJump]),
    ...core.destinationProblems.values(),
    ...jobs.flatMap(({ job, problems: own }) => own.map((problem) => `${job}: ${problem}`)),
  ];
  const state =
    stuckHolds.length > 0 || unfinishedRestores.length > 0 || jobs.some((job) => job.state === "failed")
      ? "failed"
      : problems.length > 0 || pauses.length > 0
        ? "warning"
        : "ok";
  return {
    version: core.version,
    host: core.config.settings.hostname,
    startedAt: isoOf(core.startedAtMs),
    state,
    summary: summarize(jobs, tasks, problems),
    jobs,
    tasks,
    unfinishedRestores,
    restores,
    holds,
    scratches: scratches.places,
    pauses,
    configProblem,
    problems,
  };
}

function describeStuck({ id, backup, phase, datastores, application, problem }: RestoreStatus): string {
  const swapped = datastores.filter((each) => each.swapped !== "no").map(({ datastore }) => datastore);
  return [
    `The restore ${id}${backup === "" ? "" : ` of ${backup}`} is not finished: both copies of the data are kept; it came as far as "${phase}"`,
    ...(swapped.length === 0 ? [] : [`the restored data is in place of ${swapped.join(", ")}`]),
    ...(application === "stopped" ? ["the application is stopped"] : []),
    ...(problem === null ? [] : [problem]),
  ].join("; ");
}

function summarize(jobs: readonly JobStatus[], tasks: readonly TaskStatus[], problems: readonly string[]): string {
  const running = tasks.filter(({ state }) => state === "running").length;
  const waiting = tasks.filter(({ state }) => state === "waiting").length;
  const work = running + waiting === 0 ? "idle" : `${running} running, ${waiting} waiting`;
  const nextAt = jobs.flatMap(({ next }) => next.map(({ at }) => at)).toSorted()[0];
  const first = problems[0];
  const health =
    first === undefined
      ? `${jobs.length} job${jobs.length === 1 ? "" : "s"} ok`
      : `${problems.length} problem${problems.length === 1 ? "" : "s"}: ${first}`;
  return `${health}; ${work}${nextAt === undefined ? "" : `; next ${nextAt}`}`;
}

function readJobStatus(
  core: Core,
  name: string,
  next: readonly { readonly purpose: string; readonly nextMs: number; readonly schedule: string }[],
): JobStatus {
  const facts = core.facts.readJob(core.config, name);
  const { statistics, freeze, lastEnded, damaged } = facts;
  const job = core.config.jobs.get(name);
  const absence = job === undefined ? undefined : describeAbsence(core, job);
  const failed = lastEnded?.state === "failed" || lastEnded?.state === "interrupted";
  const problems = [
    ...(failed ? [`the last backup ${lastEnded.state}: ${lastEnded.summary}`] : []),
    ...(lastEnded?.state === "partial" ? [`the last backup is partial: ${lastEnded.summary}`] : []),
    ...(absence === undefined ? [] : [absence]),
    ...(freeze === undefined
      ? []
      : [`retention is frozen: ${freeze.reason}; \`holdfast accept ${freeze.backupId}\` when the shrink is right`]),
    ...damaged.map((backup) => `${backup.name} is damaged: ${backup.damaged}`),
    ...listProofProblems(name, facts),
  ];
  const drilled = statistics.lastDrilled;
  const good = statistics.newestGood;
  return {
    job: name,
    enabled: job?.enabled ?? false,
    state:
      failed || absence !== undefined
        ? "failed"
        : problems.length > 0
          ? "warning"
          : lastEnded === undefined && good === undefined
            ? "never"
            : "ok",
    problems,
    lastRun:
      lastEnded === undefined
        ? null
        : { state: lastEnded.state, at: isoOf(lastEnded.finishedAtMs ?? lastEnded.startedAtMs), summary: lastEnded.summary },
    newestGood: good === undefined ? null : { name: good.name, at: isoOf(good.createdAtMs), destination: good.destination },
    lastVerifiedAt: statistics.lastVerifiedAtMs === undefined ? null : isoOf(statistics.lastVerifiedAtMs),
    lastDrill:
      drilled?.drilledAtMs === undefined || drilled.drilledAtMs === null
        ? null
        : { name: drilled.name, at: isoOf(drilled.drilledAtMs), tookMs: drilled.drillMs ?? 0 },
    backups: statistics.backups,
    storedBytes: statistics.storedBytes,
    next: next.map(({ purpose, nextMs, schedule }) => ({ purpose, at: isoOf(nextMs), schedule })),
    frozen: freeze?.reason ?? null,
  };
}

export function describeTask(core: Core, task: Task, waitingBecause: string | undefined): TaskStatus {
  return {
    id: task.id,
    kind: task.kind,
    job: task.job ?? null,
    state: task.state,
    requester: task.requesters.map(({ name }) => name).join(", "),
    enqueuedAt: isoOf(task.enqueuedAtMs),
    attempt: task.attempt,
    progress: describeProgress(core, task.id),
    waitingBecause: waitingBecause === undefined ? null : describeWait(task, waitingBecause),
  };
}

export function describeProgress(core: Core, id: string): TaskStatus["progress"] {
  const live = core.live.get(id);
  if (live === undefined) return null;
  const describe = ({ phase, datastore, bytes, totalBytes }: Progress) => ({
    phase,
    datastore: datastore ?? null,
    bytes: bytes ?? null,
    totalBytes: totalBytes ?? null,
  });
  const datastores = [...live.datastores].map(([datastore, progress]) => ({ ...describe(progress), datastore }));
  return { ...describe(live.progress), datastores };
}

/** Whoever waits for a second attempt is told what became of the first. */
function describeWait(task: Task, because: string): string {
  if (task.error === undefined || task.failures === 0) return because;
  return `${because}: attempt ${task.failures} of ${task.maxAttempts} failed: ${task.error.message}`;
}
