import assert from "node:assert/strict";
import { test } from "node:test";
import { createRunningAge } from "./running-age.ts";
import type { RetentionBackup } from "./verdict.ts";

const dayMs = 86_400_000;

function createBackup(day: number, sequence: number, facts: Partial<RetentionBackup> = {}): RetentionBackup {
  const id = `b${sequence}`;
  const state = { status: "ok", verified: true, suspect: false, damaged: false, pinned: false, inUse: false } as const;
  return { id, name: id, createdAtMs: day * dayMs, sequence, ...state, owned: true, manifestReadable: true, holds: ["db"], ...facts };
}

function measureDays(backups: readonly RetentionBackup[], newestGoodDay: number, days: readonly number[]): number[] {
  const measureAge = createRunningAge(backups, newestGoodDay * dayMs);
  return days.map((day) => measureAge(day * dayMs) / dayMs);
}

test("W10 ages count from the newest good backup, pauses of up to a year included", () => {
  const backups = [createBackup(100, 1), createBackup(466, 2), createBackup(470, 3)];
  assert.deepEqual(measureDays(backups, 470, [470, 466, 100, 480]), [0, 4, 370, -10]);
});

test("F64 a step of more than a year between consecutive backups does not count", () => {
  const backups = [createBackup(100, 1), createBackup(110, 2), createBackup(3762, 3), createBackup(3765, 4)];
  assert.deepEqual(measureDays(backups, 3765, [3762, 2000, 110, 100]), [3, 3, 3, 13]);
});

test("F64 a step between backups that are not consecutive is a gap that retention made, and counts", () => {
  assert.deepEqual(measureDays([createBackup(100, 1), createBackup(3762, 3)], 3762, [100]), [3662]);
});

test("F64 a leap beyond the newest good backup makes nothing younger than it is", () => {
  const backups = [createBackup(100, 1), createBackup(110, 2), createBackup(4000, 3, { verified: false })];
  assert.deepEqual(measureDays(backups, 110, [110, 100]), [0, 10]);
});

test("F64 what is not ours or unreadable shows no leap", () => {
  for (const facts of [{ owned: false }, { manifestReadable: false }]) {
    assert.deepEqual(measureDays([createBackup(100, 1), createBackup(3762, 2, facts), createBackup(3770, 3)], 3770, [100]), [3670]);
  }
});

test("F64 leaps that overlap, of a clock that jumped to and fro, count once, in any order given", () => {
  const backups = [createBackup(100, 1), createBackup(4100, 2), createBackup(2100, 3), createBackup(6100, 4)];
  for (const given of [backups, backups.toReversed()]) {
    assert.deepEqual(measureDays(given, 6110, [6100, 4100, 2100, 1000, 100, 90]), [10, 10, 10, 10, 10, 20]);
  }
});

test("F64 of two backups with one sequence the earlier one bounds the leap", () => {
  const backups = [createBackup(100, 1), createBackup(600, 2), createBackup(900, 2)];
  for (const given of [backups, backups.toReversed()]) assert.deepEqual(measureDays(given, 900, [100]), [300]);
});
