import { formatInstant } from "../base/clock.ts";
import { describeCause } from "../base/errors.ts";
import type { Task } from "../queue/contract.ts";
import type { Completion } from "./completion.ts";
import type { Core } from "./core.ts";

/** With a hint: the remedy, for whoever is told. */
type Told = Pick<Completion, "state" | "summary" | "details" | "backupId"> & { readonly hint?: string };

/** A dead man's switch hears of the start too. */
export function tellStart(core: Core, task: Task): void {
  if (task.kind !== "backup") return;
  tell(core, task.job, "start", `Backup of job "${task.job}" started`, "", task.id, {});
}

/** Audit and notifications of how a task ended. Never throws: being told must not change what happened. */
export function tellOutcome(core: Core, task: Task, runId: string, outcome: Told): void {
  try {
    recordOutcome(core, task, runId, outcome);
  } catch (error) {
    core.log.error(`The outcome of ${task.kind} ${task.id} is not in the audit trail: ${describeCause(error)}`);
  }
}

function recordOutcome(core: Core, task: Task, runId: string, outcome: Told): void {
  const failed = outcome.state === "failed" || outcome.state === "interrupted";
  core.catalog.audit.record({
    atMs: core.clock.now(),
    actor: task.requesters[0]?.name ?? "unknown",
    action: `${task.kind}.${outcome.state}`,
    subject: task.job ?? task.kind,
    outcome: failed ? "failed" : "ok",
    details: { task: task.id, run: runId, summary: outcome.summary, backup: outcome.backupId ?? null },
  });
  const what = `${task.kind}${task.job === undefined ? "" : ` of job "${task.job}"`}`;
  const alarm = `${task.kind}:${task.job ?? ""}`;
  if (failed) {
    core.catalog.alarms.set(alarm, {
      sinceMs: core.catalog.alarms.get(alarm)?.sinceMs ?? core.clock.now(),
      lastToldMs: core.clock.now(),
      detail: outcome.summary,
    });
    tell(
      core,
      task.job,
      outcome.details !== null && task.kind === "verify" ? "damaged" : "failure",
      `${what} failed`,
      outcome.hint === undefined ? outcome.summary : `${outcome.summary}\n${outcome.hint}`,
      runId,
      outcome.details,
    );
    return;
  }
  if (outcome.state === "cancelled") return;
  if (core.catalog.alarms.clear(alarm) !== undefined)
    tell(core, task.job, "recovery", `${what} works again`, outcome.summary, runId, outcome.details);
  if (outcome.state === "suspect" || outcome.state === "partial")
    tell(core, task.job, outcome.state, `${what} ended ${outcome.state}`, outcome.summary, runId, outcome.details);
  else if (task.kind === "restore") tell(core, task.job, "restore", `${what} done`, outcome.summary, runId, outcome.details);
  if (task.kind === "backup") tell(core, task.job, "success", `${what} done`, outcome.summary, runId, outcome.details);
}

type EventKind = Parameters<Core["notifier"]["tell"]>[0]["kind"];

function tell(
  core: Core,
  jobName: string | undefined,
  kind: EventKind,
  title: string,
  text: string,
  runId: string,
  details: unknown,
): void {
  const job = jobName === undefined ? undefined : core.config.jobs.get(jobName);
  const channels = job?.notify ?? [...core.config.channels.keys()];
  core.notifier.tell(
    {
      at: formatInstant(core.clock.now()),
      host: core.config.settings.hostname,
      ...(jobName === undefined ? {} : { job: jobName }),
      kind,
      title,
      text,
      runId,
      details: { value: details },
    },
    channels,
  );
}
