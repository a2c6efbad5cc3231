import assert from "node:assert/strict";
import { test } from "node:test";
import { decideRetention } from "./decide-retention.ts";
import type { RetentionPolicy } from "./policy.ts";
import type { RetentionBackup } from "./verdict.ts";

/*
 * A second, slow statement of the rules, written without looking at how the first one works: for one backup it asks in turn whether
 * anything keeps it, counting over the whole history each time, and finds days by the zone's fixed offset instead of a calendar library.
 */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const offsetMs = 5.75 * hourMs;
const timezone = "Asia/Kathmandu";
/** Saturday 2026-12-26, 18:15 in the zone: the histories run over the ends of a day, a week, a month and a year. */
const startMs = Date.UTC(2026, 11, 26, 12, 30);

const isGood = (backup: RetentionBackup) => backup.owned && backup.status === "ok" && backup.verified && !backup.suspect && !backup.damaged;

function nameDay(backup: RetentionBackup): string {
  return new Date(backup.createdAtMs + offsetMs).toISOString().slice(0, 10);
}

const bucketNames = {
  keepDaily: nameDay,
  keepWeekly: (backup: RetentionBackup) => String(Math.floor((Date.parse(nameDay(backup)) / dayMs - 3) / 7)),
  keepMonthly: (backup: RetentionBackup) => nameDay(backup).slice(0, 7),
  keepYearly: (backup: RetentionBackup) => nameDay(backup).slice(0, 4),
};

/** Histories here rise strictly in time and sequence alike. */
function isKept(backup: RetentionBackup, history: readonly RetentionBackup[], policy: RetentionPolicy): boolean {
  if (!backup.owned || backup.pinned || backup.inUse) return true;
  const goods = history.filter(isGood);
  const newerGoods = goods.filter(({ createdAtMs }) => createdAtMs > backup.createdAtMs);
  const newest = goods.find((candidate) => goods.every(({ createdAtMs }) => createdAtMs <= candidate.createdAtMs));
  if (newest === undefined || newerGoods.length === 0) return true;
  if (history.some(({ owned, suspect, createdAtMs }) => owned && suspect && createdAtMs > newest.createdAtMs)) return true;
  if (policy.keepWithinMs !== undefined && newest.createdAtMs - backup.createdAtMs < policy.keepWithinMs) return true;
  if (policy.keepLast !== undefined && newerGoods.length < policy.keepLast) return true;
  if (!isGood(backup)) return false;
  for (const rule of ["keepDaily", "keepWeekly", "keepMonthly", "keepYearly"] as const) {
    const nameBucket = bucketNames[rule];
    const bucket = nameBucket(backup);
    const isFirst = !goods.some((other) => nameBucket(other) === bucket && other.createdAtMs < backup.createdAtMs);
    const newerBuckets = new Set(newerGoods.map(nameBucket).filter((name) => name !== bucket));
    const limit = policy[rule] === "all" ? Infinity : (policy[rule] ?? 0);
    if (isFirst && newerBuckets.size < limit) return true;
  }
  return false;
}

const kinds: readonly Partial<RetentionBackup>[] = [{}, { status: "partial" }, { pinned: true }, { suspect: true }, { owned: false }];
const steps = [6 * hourMs, 3 * dayMs];
const letters = kinds.flatMap((facts) => steps.map((stepMs) => ({ facts, stepMs })));

function* enumerateHistories(length: number): Generator<RetentionBackup[]> {
  for (let code = 0; code < letters.length ** length; code += 1) {
    let rest = code;
    let createdAtMs = startMs;
    yield Array.from({ length }, (_, index): RetentionBackup => {
      const { facts, stepMs } = letters[rest % letters.length] ?? { facts: {}, stepMs: 0 };
      rest = Math.floor(rest / letters.length);
      createdAtMs += stepMs;
      const state = { status: "ok", verified: true, suspect: false, damaged: false, pinned: false, inUse: false } as const;
      return {
        id: `b${index}`,
        name: `b${index}`,
        createdAtMs,
        sequence: index,
        ...state,
        owned: true,
        manifestReadable: true,
        holds: ["db"],
        ...facts,
      };
    });
  }
}

const policies: readonly RetentionPolicy[] = [
  { keepLast: 1 },
  { keepLast: 2 },
  { keepLast: 4 },
  { keepWithinMs: dayMs },
  { keepWithinMs: 6 * dayMs },
  { keepDaily: 1 },
  { keepDaily: 2 },
  { keepDaily: "all" },
  { keepWeekly: 1 },
  { keepWeekly: 2 },
  { keepMonthly: 1 },
  { keepYearly: "all" },
  { keepDaily: 2, keepWeekly: 2, keepMonthly: 12, keepYearly: "all" },
  { keepLast: 1, keepWithinMs: 3 * dayMs + 1, keepYearly: 1 },
];

function assertAgrees(history: readonly RetentionBackup[], policy: RetentionPolicy): void {
  const nowMs = (history.at(-1)?.createdAtMs ?? startMs) + 1;
  const verdicts = decideRetention({ policy, backups: history, nowMs, timezone, weekStart: "sunday" });
  for (const { id, action } of verdicts) {
    const backup = history.find((candidate) => candidate.id === id);
    assert.ok(backup !== undefined);
    const expected = isKept(backup, history, policy) ? "keep" : "remove";
    if (action !== expected)
      assert.fail(`${id} is "${action}", not "${expected}": ${JSON.stringify({ policy, history, verdicts }, undefined, 1)}`);
  }
}

const isLong = process.env["HOLDFAST_LONG"] === "1";
/** Up to this length every history meets every policy; longer ones meet one each, in turn. */
const fullLength = isLong ? 5 : 3;
const longest = isLong ? 7 : 5;

for (let length = 0; length <= longest; length += 1) {
  test(`A9 P3 D9 G3 every history of ${length} backups gets the verdicts of a brute-force oracle`, () => {
    let index = 0;
    for (const history of enumerateHistories(length)) {
      const chosen = length <= fullLength ? policies : [policies[index % policies.length] ?? {}];
      for (const policy of chosen) assertAgrees(history, policy);
      index += 1;
    }
  });
}
