import { createId } from "../base/ids.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { SlotPurpose } from "../catalog/contract.ts";
import type { JobConfig } from "../config/config.ts";
import { decideAtStart } from "../schedule/at-start.ts";
import { decideDue } from "../schedule/due-slots.ts";
import { describeSchedule } from "../schedule/describe-schedule.ts";
import type { Schedule } from "../schedule/parse-schedule.ts";
import type { Core } from "./core.ts";
import { noticeVanished } from "./notice-vanished.ts";
import { requestBackup, requestProof } from "./request-task.ts";

/** A schedule that cannot be followed is tried again this often. */
const troubleRetryMs = 30_000;

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

/** Asks for what is due. Looking while nothing is due costs next to nothing. */
export class ScheduleWatch {
  readonly #core: Core;
  readonly #troubles = new Map<string, { readonly text: string; readonly againMs: number }>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Asks for everything that is due now. One job's trouble keeps no other from its slot; it is tried again, and told when it changes. */
  async look(signal: AbortSignal): Promise<void> {
    const core = this.#core;
    const troubled = this.#troubles.size > 0;
    if (!troubled && listNextRuns(core).every(({ due }) => due === "later")) return;
    const known = new Set<string>();
    for (const plan of listPlans(core)) {
      const name = `The ${plan.purpose} schedule of job "${plan.job.name}"`;
      known.add(name);
      const trouble = this.#troubles.get(name);
      if (trouble !== undefined && core.clock.monotonic() < trouble.againMs) continue;
      try {
        await runIfDue(core, plan, signal);
        this.#troubles.delete(name);
      } catch (error) {
        const text = `${name} cannot be followed: ${describeCause(error)}`;
        if (trouble?.text !== text) core.log.error(text);
        this.#troubles.set(name, { text, againMs: core.clock.monotonic() + troubleRetryMs });
      }
    }
    for (const name of this.#troubles.keys()) if (!known.has(name)) this.#troubles.delete(name);
  }

  /** The next instant at which something becomes due; what is due already and in trouble does not count. Never throws. */
  findNextMs(): number {
    try {
      return Math.min(...listNextRuns(this.#core).flatMap(({ due, nextMs }) => (due === "later" ? [nextMs] : [])), Infinity);
    } catch (error) {
      this.#core.log.error(`The schedules cannot be read now: ${describeCause(error)}`);
      return Infinity;
    }
  }
}

interface NextRun {
  readonly job: string;
  readonly purpose: SlotPurpose;
  /** Milliseconds since the epoch. */
  readonly nextMs: number;
  readonly schedule: string;
  /** `now`: there are slots to settle. */
  readonly due: "now" | "later";
}

/** When each plan comes next. */
export function listNextRuns(core: Core): readonly NextRun[] {
  const nowMs = core.clock.now();
  return core.facts.readNext(core.config, nowMs, () => {
    const value = listPlans(core).map((plan): NextRun => {
      const { nextMs, settledMs } = decide(core, plan);
      return {
        job: plan.job.name,
        purpose: plan.purpose,
        nextMs,
        schedule: describeSchedule(plan.schedule, plan.job.timezone),
        due: settledMs === undefined ? "later" : "now",
      };
    });
    return { value, untilMs: Math.min(...value.map(({ nextMs, due }) => (due === "now" ? nowMs : nextMs)), Infinity) };
  });
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
  if (due.run !== undefined) {
    await requestSlot(core, plan, due.run.slotMs, requester, signal).catch((error: unknown) => {
      // Asked for before a crash, and the config has changed since: what was asked for then is done.
      if (!(error instanceof HoldfastError) || error.code !== "conflict") throw error;
      core.log.warn(`${plan.purpose} of job "${job.name}" was asked for already, before the configuration changed`);
    });
  }
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
  for (const name of core.config.destinations.keys()) await noticeVanished(core, name, signal);
  const backups = core.catalog.backups
    .find({ job: job.name, class: "backup", host: core.config.settings.hostname })
    .filter(({ destination, missingSinceMs }) => core.config.destinations.has(destination) && missingSinceMs === null);
  const newestGood = core.facts.readJob(core.config, job.name).statistics.newestGood;
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
    const newestVerifiedAtMs = core.facts.readJob(core.config, job.name).statistics.newestGood?.createdAtMs;
    const decision = decideAtStart({ atStart: job.atStart, minAgeMs: job.atStartMinAgeMs, nowMs: core.clock.now(), newestVerifiedAtMs });
    if (decision.code !== "not-wanted") core.log.info(`Job "${job.name}" at start: ${decision.action}, ${decision.reason}`);
    if (decision.action === "run")
      await requestBackup(core, { job: job.name, trigger: "start", requester: "daemon start", priority: "scheduled" }, signal);
  }
}
