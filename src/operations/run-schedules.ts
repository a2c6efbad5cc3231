import { createId } from "../base/ids.ts";
import { describeCause } from "../base/errors.ts";
import type { SlotPurpose } from "../catalog/contract.ts";
import type { JobConfig } from "../config/config.ts";
import { decideAtStart } from "../schedule/at-start.ts";
import { decideDue } from "../schedule/due-slots.ts";
import { describeSchedule } from "../schedule/describe-schedule.ts";
import type { Schedule } from "../schedule/parse-schedule.ts";
import type { Core } from "./core.ts";
import { requestBackup, requestProof } from "./request-task.ts";

interface Plan {
  readonly job: JobConfig;
  readonly purpose: SlotPurpose;
  readonly schedule: Schedule;
}

function listPlans(core: Core): readonly Plan[] {
  return [...core.config.jobs.values()]
    .filter(({ enabled }) => enabled)
    .flatMap((job) => [
      ...(job.schedule === undefined ? [] : [{ job, purpose: "backup" as const, schedule: job.schedule }]),
      ...(job.verify === undefined ? [] : [{ job, purpose: "verify" as const, schedule: job.verify }]),
      ...(job.drill === undefined ? [] : [{ job, purpose: "drill" as const, schedule: job.drill }]),
    ]);
}

/** Asks for everything that is due now. One job's trouble keeps no other from its slot. */
export async function runDueSchedules(core: Core, signal: AbortSignal): Promise<void> {
  for (const plan of listPlans(core)) {
    try {
      await runIfDue(core, plan, signal);
    } catch (error) {
      core.log.error(`The ${plan.purpose} schedule of job "${plan.job.name}" cannot be followed: ${describeCause(error)}`);
    }
  }
}

/** When each plan comes next, milliseconds since the epoch. */
export function listNextRuns(
  core: Core,
): readonly { readonly job: string; readonly purpose: SlotPurpose; readonly nextMs: number; readonly schedule: string }[] {
  return listPlans(core).map((plan) => ({
    job: plan.job.name,
    purpose: plan.purpose,
    nextMs: decide(core, plan).nextMs,
    schedule: describeSchedule(plan.schedule, plan.job.timezone),
  }));
}

function decide(core: Core, { job, purpose, schedule }: Plan) {
  const nowMs = core.clock.now();
  const slot = core.catalog.slots.ensureSeen(job.name, purpose, nowMs);
  return decideDue({
    schedule,
    timezone: job.timezone,
    nowMs,
    lastSlotMs: slot.lastSlotMs,
    firstSeenMs: slot.firstSeenMs,
    catchUp: job.catchUp ? "run" : "skip",
    jobName: `${core.config.settings.hostname}/${job.name}/${purpose}`,
  });
}

async function runIfDue(core: Core, plan: Plan, signal: AbortSignal): Promise<void> {
  const { job, purpose, schedule } = plan;
  const due = decide(core, plan);
  if (due.settledMs === undefined) return;
  const requester = `schedule ${describeSchedule(schedule, job.timezone)}${due.run?.reason === "catch-up" ? " (catch-up)" : ""}`;
  // Asked for first, remembered second: after a crash in between the same slot is asked for again and finds its task.
  if (due.run !== undefined) await requestSlot(core, plan, due.run.slotMs, requester, signal);
  core.catalog.transact(() => {
    if (due.missedCount > 0) recordMissed(core, plan, due.missed, due.missedCount);
    core.catalog.slots.setLast(job.name, purpose, due.settledMs ?? 0);
  });
}

async function requestSlot(core: Core, { job, purpose }: Plan, slotMs: number, requester: string, signal: AbortSignal): Promise<void> {
  const idempotencyKey = `slot:${job.name}:${purpose}:${slotMs}`;
  if (purpose === "backup") {
    await requestBackup(core, { job: job.name, trigger: "schedule", requester, priority: "scheduled", idempotencyKey }, signal);
    return;
  }
  const backups = core.catalog.backups
    .find({ job: job.name, class: "backup" })
    .filter(({ destination, missingSinceMs }) => core.config.destinations.has(destination) && missingSinceMs === null);
  const newestGood = core.catalog.statistics.read(job.name).newestGood;
  const chosen = purpose === "verify" ? backups : newestGood === undefined ? [] : [newestGood];
  for (const backup of chosen) {
    await requestProof(
      core,
      {
        operation: purpose,
        backup,
        requester,
        priority: "maintenance",
        idempotencyKey: `${idempotencyKey}:${backup.destination}/${backup.id}`,
      },
      signal,
    );
  }
}

function recordMissed(core: Core, { job, purpose }: Plan, missed: readonly number[], count: number): void {
  const nowMs = core.clock.now();
  const newest = missed.at(-1) ?? nowMs;
  const summary = `${count} slot${count === 1 ? "" : "s"} missed, the last one at ${new Date(newest).toISOString()}`;
  core.catalog.runs.record({
    id: createId(nowMs),
    taskId: "",
    attempt: 0,
    kind: purpose,
    job: job.name,
    trigger: "schedule",
    state: "missed",
    startedAtMs: newest,
    finishedAtMs: nowMs,
    summary,
    details: {},
    missedCount: count,
  });
  core.log.warn(`${purpose} of job "${job.name}": ${summary}`);
}

/** What runs because the daemon starts. A crash loop must not rotate good backups away (L3). */
export async function runStartJobs(core: Core, signal: AbortSignal): Promise<void> {
  for (const job of core.config.jobs.values()) {
    if (!job.enabled) continue;
    const newestVerifiedAtMs = core.catalog.statistics.read(job.name).newestGood?.createdAtMs;
    const decision = decideAtStart({ atStart: job.atStart, minAgeMs: job.atStartMinAgeMs, nowMs: core.clock.now(), newestVerifiedAtMs });
    if (decision.code !== "not-wanted") core.log.info(`Job "${job.name}" at start: ${decision.action}, ${decision.reason}`);
    if (decision.action === "run")
      await requestBackup(core, { job: job.name, trigger: "start", requester: "daemon start", priority: "scheduled" }, signal);
  }
}
