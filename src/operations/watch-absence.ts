import { formatInstant } from "../base/clock.ts";
import { describeDuration } from "../base/parse-duration.ts";
import type { JobConfig } from "../config/config.ts";
import type { Core } from "./core.ts";

/** Told again after this time while it lasts. */
const repeatMs = 24 * 3_600_000;

/** Why a job has no verified backup that is young enough, by state and not by runs; undefined when all is well or no limit is known. */
export function describeAbsence(core: Core, job: JobConfig): string | undefined {
  if (!job.enabled || job.maxAgeMs === undefined) return undefined;
  const newest = core.facts.readJob(core.config, job.name).statistics.newestGood;
  const seenMs = core.catalog.slots.get(job.name, "backup")?.firstSeenMs ?? core.startedAtMs;
  const ageMs = core.clock.now() - (newest?.createdAtMs ?? seenMs);
  if (ageMs <= job.maxAgeMs) return undefined;
  const limit = describeDuration(job.maxAgeMs);
  return newest === undefined
    ? `no verified backup since it was set up; the limit is ${limit}`
    : `the newest verified backup is ${describeDuration(Math.floor(ageMs / 60_000) * 60_000)} old; the limit is ${limit}`;
}

/** Tells absences and their end (G7): nobody has to look. */
export function watchAbsence(core: Core): void {
  for (const job of core.config.jobs.values()) {
    const key = `absence:${job.name}`;
    const why = describeAbsence(core, job);
    const alarm = core.catalog.alarms.get(key);
    const nowMs = core.clock.now();
    const common = { at: formatInstant(nowMs), host: core.config.settings.hostname, job: job.name };
    if (why !== undefined && (alarm === undefined || nowMs - alarm.lastToldMs >= repeatMs)) {
      core.catalog.alarms.set(key, { sinceMs: alarm?.sinceMs ?? nowMs, lastToldMs: nowMs, detail: why });
      core.log.error(`Job "${job.name}" has ${why}`);
      core.notifier.tell({ ...common, kind: "absence", title: `Job "${job.name}" lacks a backup`, text: why, details: {} }, job.notify);
    } else if (why === undefined && core.catalog.alarms.clear(key) !== undefined) {
      core.notifier.tell(
        { ...common, kind: "recovery", title: `Job "${job.name}" has a verified backup again`, text: "", details: {} },
        job.notify,
      );
    }
  }
}
