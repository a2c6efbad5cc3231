import { describeDuration } from "../base/parse-duration.ts";

export interface AtStartInput {
  readonly atStart: boolean;
  /** A verified backup younger than this makes one at start needless. */
  readonly minAgeMs: number;
  readonly nowMs: number;
  /** When the newest verified backup of the job was taken; undefined if there is none. */
  readonly newestVerifiedAtMs: number | undefined;
}

export interface AtStartDecision {
  readonly action: "run" | "skip";
  readonly code: "not-wanted" | "no-verified-backup" | "old-enough" | "too-young" | "in-the-future";
  /** For people. */
  readonly reason: string;
}

/** Whether a job runs because the daemon started. A crash loop must not rotate good backups away (L3), nor a clock set back. */
export function decideAtStart(input: AtStartInput): AtStartDecision {
  const { atStart, minAgeMs, nowMs, newestVerifiedAtMs } = input;
  if (!atStart) return { action: "skip", code: "not-wanted", reason: "the job does not run at start" };
  if (newestVerifiedAtMs === undefined) return { action: "run", code: "no-verified-backup", reason: "there is no verified backup yet" };
  const ageMs = nowMs - newestVerifiedAtMs;
  const age = describeDuration(Math.floor(Math.abs(ageMs) / 1000) * 1000);
  const limit = describeDuration(minAgeMs);
  if (ageMs < 0) {
    const reason = `the newest verified backup is ${age} in the future: the clock was set back`;
    return { action: "skip", code: "in-the-future", reason };
  }
  if (ageMs < minAgeMs)
    return { action: "skip", code: "too-young", reason: `the newest verified backup is ${age} old, younger than ${limit}` };
  return { action: "run", code: "old-enough", reason: `the newest verified backup is ${age} old, and the limit is ${limit}` };
}
