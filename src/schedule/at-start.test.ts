import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideAtStart, type AtStartInput } from "./at-start.ts";

const input: AtStartInput = { atStart: true, minAgeMs: 3_600_000, nowMs: 1e12, newestVerifiedAtMs: 1e12 - 600_000 };

describe("L3 backup at start", () => {
  const cases: readonly (readonly [title: string, change: Partial<AtStartInput>, action: string, code: string, reason: RegExp])[] = [
    ["not where it is not wanted", { atStart: false, newestVerifiedAtMs: undefined }, "skip", "not-wanted", /does not run at start/],
    ["where there is no verified backup", { newestVerifiedAtMs: undefined }, "run", "no-verified-backup", /no verified backup/],
    ["not in a crash loop: a verified one is younger than the limit", {}, "skip", "too-young", /10m old, younger than 1h/],
    ["a millisecond too young", { newestVerifiedAtMs: 1e12 - 3_599_999 }, "skip", "too-young", /59m 59s old/],
    ["as old as the limit", { newestVerifiedAtMs: 1e12 - 3_600_000 }, "run", "old-enough", /1h old, and the limit is 1h/],
    ["no limit", { minAgeMs: 0, newestVerifiedAtMs: 1e12 }, "run", "old-enough", /0s old/],
    ["F64 not when the clock was set back", { newestVerifiedAtMs: 1e12 + 86_400_000 }, "skip", "in-the-future", /1d in the future/],
    [
      "F64 not when it was set back a little, without a limit",
      { minAgeMs: 0, newestVerifiedAtMs: 1e12 + 1 },
      "skip",
      "in-the-future",
      /set back/,
    ],
  ];
  for (const [title, change, action, code, reason] of cases) {
    test(title, () => {
      const decision = decideAtStart({ ...input, ...change });
      assert.deepEqual([decision.action, decision.code], [action, code]);
      assert.match(decision.reason, reason);
    });
  }
});
