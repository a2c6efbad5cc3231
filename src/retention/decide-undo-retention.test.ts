import assert from "node:assert/strict";
import { test } from "node:test";
import { decideUndoRetention } from "./decide-undo-retention.ts";
import type { RetentionBackup } from "./verdict.ts";

const dayMs = 86_400_000;
const nowMs = Date.parse("2026-11-20T12:00Z");

function createUndo(ageDays: number, facts: Partial<RetentionBackup> = {}): RetentionBackup {
  const id = `undo-${ageDays}`;
  const state = { status: "ok", verified: true, suspect: false, damaged: false, pinned: false, inUse: false } as const;
  const createdAtMs = nowMs - ageDays * dayMs;
  return { id, name: id, createdAtMs, sequence: 10_000 - ageDays, ...state, owned: true, manifestReadable: true, holds: ["db"], ...facts };
}

function listVerdicts(
  backups: readonly RetentionBackup[],
  change: { nowMs?: number; keepForMs?: number; keepLast?: number } = {},
): string[] {
  return decideUndoRetention({ backups, nowMs, ...change }).map(({ id, action, reasons }) => `${id} ${action}: ${reasons.join(", ")}`);
}

test("D9 pre-restore backups stay for 14 days, and the last 3 for longer", () => {
  assert.deepEqual(listVerdicts([1, 13, 14, 15, 20].map((days) => createUndo(days))), [
    "undo-1 keep: younger than 14d, last 1 of 3",
    "undo-13 keep: younger than 14d, last 2 of 3",
    "undo-14 keep: last 3 of 3",
    "undo-15 remove: its undo expired (14d, last 3)",
    "undo-20 remove: its undo expired (14d, last 3)",
  ]);
});

test("D9 age and count of undo backups can be set", () => {
  assert.deepEqual(listVerdicts([createUndo(1), createUndo(3), createUndo(4)], { keepForMs: 2 * dayMs, keepLast: 2 }), [
    "undo-1 keep: younger than 2d, last 1 of 2",
    "undo-3 keep: last 2 of 2",
    "undo-4 remove: its undo expired (2d, last 2)",
  ]);
});

test("F66 undo backups that are pinned, in use, not ours or unreadable stay, damaged ones fill no count", () => {
  const backups = [
    createUndo(20, { damaged: true }),
    createUndo(21),
    createUndo(22, { status: "failed" }),
    createUndo(23),
    createUndo(24, { pinned: true }),
    createUndo(25, { damaged: true }),
    createUndo(26, { inUse: true, damaged: true }),
    createUndo(27, { owned: false }),
    createUndo(28, { manifestReadable: false }),
    createUndo(29),
  ];
  assert.deepEqual(listVerdicts(backups), [
    "undo-20 keep: damaged, but among the last 3",
    "undo-21 keep: last 1 of 3",
    "undo-22 keep: failed, but among the last 3",
    "undo-23 keep: last 2 of 3",
    "undo-24 keep: pinned, last 3 of 3",
    "undo-25 remove: its undo expired (14d, last 3)",
    "undo-26 keep: in use",
    "undo-27 keep: not made by this job on this machine",
    "undo-28 keep: its manifest cannot be read",
    "undo-29 remove: its undo expired (14d, last 3)",
  ]);
});

test("F66 undo backups that are not ours or unreadable fill no count", () => {
  const others = [createUndo(1, { owned: false }), createUndo(2, { manifestReadable: false })];
  assert.deepEqual(listVerdicts([...others, createUndo(20), createUndo(21)], { keepLast: 1 }), [
    "undo-1 keep: not made by this job on this machine",
    "undo-2 keep: its manifest cannot be read",
    "undo-20 keep: last 1 of 1",
    "undo-21 remove: its undo expired (14d, last 1)",
  ]);
});

test("F64 no undo backup goes while the clock is behind one of them", () => {
  const backups = [createUndo(-1), ...[15, 16, 17, 18].map((days) => createUndo(days))];
  const verdicts = listVerdicts(backups);
  assert.equal(verdicts[0], "undo--1 keep: dated in the future, younger than 14d, last 1 of 3");
  assert.equal(verdicts[4], 'undo-18 keep: retention is frozen: the clock is behind backup "undo--1" by 1d');
  assert.ok(listVerdicts(backups, { nowMs: Number.NaN }).every((line) => line.includes(" keep: ")));
});
