import assert from "node:assert/strict";
import { test } from "node:test";
import { assertGolden } from "../../test/support/golden.ts";
import { describeAge, describeBytes } from "../base/describe-amount.ts";
import { describeVerdicts } from "./plan-removal.ts";
import type { Verdict } from "./verdict.ts";

const nowMs = Date.parse("2026-11-20T12:00Z");

function createVerdict(id: string, createdAt: string, action: "keep" | "remove", ...reasons: string[]): Verdict {
  return { id, name: `nightly_${createdAt.slice(0, 10)}`, createdAtMs: Date.parse(createdAt), action, reasons };
}

const verdicts = [
  createVerdict("b3", "2026-11-20T03:00Z", "keep", "newest verified backup", "last 1 of 1"),
  createVerdict("b2", "2026-11-19T03:00Z", "remove", "no rule keeps it (last 1)"),
  createVerdict("b1", "2026-09-19T03:00Z", "remove", "no rule keeps it (last 1)"),
];

test("D9 W3 the plan shows name, age, size and reasons of each, and what is freed", () => {
  const sizes = new Map([
    ["b3", 2048],
    ["b2", 1536],
    ["b1", 5 * 1024 ** 3],
  ]);
  assertGolden("retention/w3-plan.json", `${JSON.stringify(describeVerdicts(verdicts, sizes, nowMs), undefined, 2)}\n`);
});

test("W3 a size that is not known is said, not guessed", () => {
  const plan = describeVerdicts(verdicts, new Map([["b2", 100]]), nowMs);
  assert.equal(plan.rows[2]?.size, "?");
  assert.equal(plan.summary, "2 of 3 backups would be removed, at least 100 B freed");
  assert.equal(describeVerdicts(verdicts.slice(0, 1), new Map(), nowMs).summary, "nothing would be removed");
});

test("W3 ages and sizes for people", () => {
  assert.deepEqual([0, 59_999, 90_000, 3 * 3_600_000, 400 * 86_400_000, -7_200_000, Number.NaN].map(describeAge), [
    "0s",
    "59s",
    "1m",
    "3h",
    "400d",
    "-2h",
    "unknown",
  ]);
  assert.deepEqual([0, 1023, 1024, 1024 ** 2 - 1, 1024 ** 2, 2.5 * 1024 ** 4, 1024 ** 6].map(describeBytes), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.0 MiB",
    "1.0 MiB",
    "2.5 TiB",
    "1024.0 PiB",
  ]);
});
