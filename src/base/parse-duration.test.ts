import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { HoldfastError } from "./errors.ts";
import { describeDuration, parseDuration } from "./parse-duration.ts";

describe("durations", () => {
  for (const [text, ms] of [
    ["1500ms", 1500],
    ["90s", 90_000],
    ["30m", 1_800_000],
    ["6h", 21_600_000],
    ["1.5h", 5_400_000],
    ["30d", 2_592_000_000],
    ["2w", 1_209_600_000],
    [" 1h 30m ", 5_400_000],
    ["1h30m", 5_400_000],
    ["10 m", 600_000],
    ["0s", 0],
  ] as const) {
    test(`reads ${JSON.stringify(text)}`, () => assert.equal(parseDuration(text), ms));
  }

  for (const [input, message] of [
    ["5 parsecs", /duration "5 parsecs": unknown unit "parsecs"; allowed are ms, s, m, h, d, w/],
    ["5M", /unknown unit "M"/],
    ["5 months", /unknown unit "months"/],
    ["-5m", /must not be negative/],
    ["5", /has no unit/],
    ["5m 3", /has no unit/],
    [5, /has no unit/],
    [Number.NaN, /has no unit/],
    ["NaNs", /not a number with a unit/],
    ["Infinityd", /not a number with a unit/],
    ["1e3s", /unknown unit "e"/],
    ["", /not a number with a unit/],
    ["m", /not a number with a unit/],
    [undefined, /must be text/],
    [{}, /must be text/],
    ["99999999999999w", /too long/],
  ] as const) {
    test(`refuses ${JSON.stringify(input) ?? "undefined"}`, () => {
      assert.throws(
        () => parseDuration(input),
        (error) =>
          error instanceof HoldfastError && error.code === "config-invalid" && message.test(error.message) && error.hint !== undefined,
      );
    });
  }

  test("limits are named", () => {
    assert.throws(() => parseDuration("0s", { what: "minimum age", minMs: 1 }), /Cannot read minimum age "0s": it must be at least 1ms/);
    assert.throws(() => parseDuration("2d", { maxMs: 86_400_000 }), /at most 1d/);
    assert.equal(parseDuration("1d", { minMs: 86_400_000, maxMs: 86_400_000 }), 86_400_000);
  });

  test("a hostile text is refused at once", () => {
    assert.throws(() => parseDuration(`${"1".repeat(50_000)}!`), HoldfastError);
    assert.throws(() => parseDuration(`${"1 ".repeat(50_000)}!`), HoldfastError);
    assert.throws(() => parseDuration(`${"1a".repeat(50_000)}!`), HoldfastError);
  });

  test("what is described is read back, to the millisecond", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (ms) => assert.equal(parseDuration(describeDuration(ms)), ms)));
    assert.equal(describeDuration(90_061_001), "1d 1h 1m 1s 1ms");
    assert.equal(describeDuration(0), "0s");
    assert.equal(describeDuration(-90_000), "-1m 30s");
  });
});
