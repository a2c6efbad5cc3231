import { describeDuration } from "../base/parse-duration.ts";
import { calendarRules, describeBucket, describeCalendarRule, findDay } from "./calendar-buckets.ts";
import { describeAge } from "../base/describe-amount.ts";
import type { RetentionPolicy } from "./policy.ts";
import { createRunningAge } from "./running-age.ts";
import {
  clockToleranceMs,
  compareNewestFirst,
  describeDefect,
  isGood,
  isJudgeable,
  listProtections,
  type RetentionBackup,
  type Verdict,
} from "./verdict.ts";

export interface RetentionInput {
  /** Undefined: the job has no retention, and everything is kept. */
  readonly policy: RetentionPolicy | undefined;
  readonly backups: readonly RetentionBackup[];
  readonly nowMs: number;
  /** The job's zone (IANA name), in which days, weeks, months and years begin. */
  readonly timezone: string;
  readonly weekStart: "sunday";
  /** Set while nothing may be removed, for instance after a suspect run. */
  readonly frozen?: { readonly reason: string };
  /** How many of the newest good backups are kept whatever the policy says; at least, and by default, 1. */
  readonly minimumGood?: number;
}

/**
 * Which backups a policy keeps and which it removes, newest first, with the reasons. Pure; the same for any order of the backups, and the
 * same again after any part of the removals was carried out.
 *
 * - A backup is kept when any rule keeps it. Only good ones (ok, verified, not suspect, not damaged) fill the rules' counts.
 * - A calendar rule keeps the first good backup of each of the N newest days (weeks from Sunday, months, years) that have one.
 * - `keepWithin` counts from the newest good backup, see createRunningAge.
 * - One that is not good displaces none that is. It stays while no good one is newer, and while it lies within `keepWithin` or among
 *   the last good ones of `keepLast`.
 * - Never removed: the newest good ones (by time, and by sequence where clocks went back), of each datastore the newest good one that
 *   holds its data (else the newest verified one that does: a datastore that is gone must not push out what is left of it), pinned, in use, not owned, unreadable, dated
 *   in the future. Nothing at all is removed while frozen, while the clock is behind a backup, and while a suspect backup is newer than
 *   the newest good one.
 */
export function decideRetention(input: RetentionInput): Verdict[] {
  const ordered = input.backups.toSorted(compareNewestFirst);
  const good = ordered.filter(isGood);
  const { policy } = input;
  const freeze = findFreeze(input, ordered, good);
  const ruleReasons = policy === undefined ? undefined : collectReasons(input, policy, ordered, good);
  return ordered.map((backup) => {
    const { id, name, createdAtMs } = backup;
    const reasons = listProtections(backup, input.nowMs);
    if (policy === undefined) reasons.push("the job has no retention: everything is kept");
    else reasons.push(...(ruleReasons?.get(backup) ?? []));
    if (reasons.length > 0) return { id, name, createdAtMs, action: "keep", reasons };
    if (freeze !== undefined) return { id, name, createdAtMs, action: "keep", reasons: [`retention is frozen: ${freeze}`] };
    return { id, name, createdAtMs, action: "remove", reasons: [describeRemoval(backup, policy ?? {})] };
  });
}

function findFreeze(input: RetentionInput, ordered: readonly RetentionBackup[], good: readonly RetentionBackup[]): string | undefined {
  if (input.frozen !== undefined) return input.frozen.reason;
  const newest = ordered.find(isJudgeable);
  if (newest !== undefined && input.nowMs < newest.createdAtMs - clockToleranceMs) {
    return `the clock is behind backup "${newest.name}" by ${describeAge(newest.createdAtMs - input.nowMs)}`;
  }
  const sinceGood = good[0] === undefined ? [] : ordered.slice(0, ordered.indexOf(good[0]));
  const suspect = sinceGood.find((backup) => isJudgeable(backup) && backup.suspect);
  return suspect === undefined ? undefined : `backup "${suspect.name}" is suspect and no verified one is newer`;
}

/** Reasons to keep judgeable backups, from floor and policy. */
function collectReasons(
  input: RetentionInput,
  policy: RetentionPolicy,
  ordered: readonly RetentionBackup[],
  good: readonly RetentionBackup[],
): Map<RetentionBackup, string[]> {
  const reasons = new Map<RetentionBackup, string[]>(ordered.map((backup) => [backup, []]));
  const keep = (backup: RetentionBackup, reason: string) => reasons.get(backup)?.push(reason);

  for (const [backup, reason] of findFloor(good, input.minimumGood)) keep(backup, reason);
  for (const [backup, reason] of findDatastoreFloor(ordered, good)) keep(backup, reason);
  const { keepLast = 0, keepWithinMs = 0 } = policy;
  for (const [index, backup] of good.slice(0, keepLast).entries()) keep(backup, `last ${index + 1} of ${keepLast}`);
  const measureAge = createRunningAge(ordered, good[0]?.createdAtMs ?? 0);
  for (const backup of good) {
    if (measureAge(backup.createdAtMs) < keepWithinMs) keep(backup, `younger than ${describeDuration(keepWithinMs)}`);
  }
  keepCalendar(policy, good, input.timezone, keep);

  let newerGood = 0;
  for (const backup of ordered.filter(isJudgeable)) {
    if (isGood(backup)) newerGood += 1;
    else if (newerGood === 0) keep(backup, `${describeDefect(backup)}, but no verified backup is newer`);
    else if (measureAge(backup.createdAtMs) < keepWithinMs)
      keep(backup, `${describeDefect(backup)}, but younger than ${describeDuration(keepWithinMs)}`);
    else if (newerGood < keepLast) keep(backup, `${describeDefect(backup)}, but among the last ${keepLast}`);
  }
  return reasons;
}

function findFloor(good: readonly RetentionBackup[], minimumGood: number | undefined): Map<RetentionBackup, string> {
  const count = Math.max(1, Math.ceil(minimumGood ?? 1) || 1);
  const text = count === 1 ? "newest verified backup" : `among the newest ${count} verified backups`;
  // A stable sort: equal sequences stay in the order of time.
  const bySequence = good.toSorted((left, right) => right.sequence - left.sequence);
  return new Map([
    ...bySequence.slice(0, count).map((backup) => [backup, `${text} by sequence`] as const),
    ...good.slice(0, count).map((backup) => [backup, text] as const),
  ]);
}

/** Of each datastore the newest backup with its data, where the newest good one has it not. */
function findDatastoreFloor(ordered: readonly RetentionBackup[], good: readonly RetentionBackup[]): Map<RetentionBackup, string> {
  const sound = ordered.filter((backup) => isGood({ ...backup, status: "ok" }) && backup.status !== "failed");
  const floor = new Map<RetentionBackup, string[]>();
  const names = new Set(sound.flatMap(({ holds, holdsPart = [] }) => [...holds, ...holdsPart]));
  for (const name of names.difference(new Set(good[0]?.holds))) {
    const holding = good.filter(({ holds }) => holds.includes(name));
    const bySequence = holding.toSorted((left, right) => right.sequence - left.sequence);
    const newest =
      holding[0] ?? sound.find(({ holds }) => holds.includes(name)) ?? sound.find(({ holdsPart }) => holdsPart?.includes(name));
    for (const backup of new Set([newest, bySequence[0]]))
      if (backup !== undefined) floor.set(backup, [...(floor.get(backup) ?? []), name]);
  }
  return new Map([...floor].map(([backup, names]) => [backup, `newest verified backup with ${names.toSorted().join(", ")}`]));
}

function keepCalendar(
  policy: RetentionPolicy,
  good: readonly RetentionBackup[],
  timezone: string,
  keep: (backup: RetentionBackup, reason: string) => void,
): void {
  const active = calendarRules.filter((rule) => policy[rule] !== undefined);
  if (active.length === 0) return;
  const dated = good.map((backup) => ({ backup, day: findDay(backup.createdAtMs, timezone) }));
  for (const rule of active) {
    // Later entries are older, so the one that stays in the map is the first of its bucket; the map's order stays newest first.
    const keepers = new Map(dated.map(({ backup, day }) => [describeBucket(rule, day), backup]));
    const count = policy[rule] === "all" ? keepers.size : (policy[rule] ?? 0);
    for (const [bucket, backup] of [...keepers].slice(0, count)) keep(backup, bucket);
  }
}

function describeRemoval(backup: RetentionBackup, policy: RetentionPolicy): string {
  if (!isGood(backup)) return `${describeDefect(backup)}, and a newer verified backup exists`;
  const rules = [
    ...(policy.keepLast === undefined ? [] : [`last ${policy.keepLast}`]),
    ...(policy.keepWithinMs === undefined ? [] : [`younger than ${describeDuration(policy.keepWithinMs)}`]),
    ...calendarRules.flatMap((rule) => (policy[rule] === undefined ? [] : [describeCalendarRule(rule, policy[rule])])),
  ];
  return `no rule keeps it (${rules.join(", ")})`;
}
