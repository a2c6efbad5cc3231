import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../base/errors.ts";
import { parseRetention } from "./policy.ts";

const dayMs = 86_400_000;

test("P3 L6 W10 A9 a policy is read with its rules, and a rule of 0 is no rule", () => {
  assert.deepEqual(parseRetention({ keepLast: 5 }), { keepLast: 5 });
  assert.deepEqual(parseRetention({ keepWithin: "14d" }), { keepWithinMs: 14 * dayMs });
  assert.deepEqual(parseRetention({ keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: "all" }), {
    keepDaily: 7,
    keepWeekly: 4,
    keepMonthly: 12,
    keepYearly: "all",
  });
  assert.deepEqual(parseRetention({ keepLast: 0, keepDaily: 7, keepWithin: 0 }), { keepDaily: 7 });
  assert.deepEqual(parseRetention({ keepLast: 1, keepWithin: "0d" }), { keepLast: 1 });
});

const refusals: readonly (readonly [unknown, RegExp])[] = [
  [{ keepLats: 5 }, /"keepLats": no such rule; allowed are keepLast, keepWithin, .*did you mean "keepLast"\?/],
  [{ keepWithinMs: 5 }, /"keepWithinMs": no such rule.*did you mean "keepWithin"\?/],
  [{ "keep-weekly": 5 }, /did you mean "keepWeekly"\?/],
  [{ keepLast: 5, zebra: 1 }, /"zebra": no such rule; allowed are [A-Za-z, ]+$/],
  [JSON.parse('{"keepLast": 5, "__proto__": 1}'), /"__proto__": no such rule/],
  [{ keepLast: 0 }, /all its rules are 0, which would remove every backup/],
  [{ keepLast: 0, keepWithin: "0h", keepYearly: 0 }, /would remove every backup/],
  [{}, /it has no rules; give at least one of keepLast/],
  [null, /expected rules such as .*, found nothing/],
  [undefined, /found nothing/],
  [[], /found a list/],
  ["5", /found "5"/],
  [5, /found 5/],
  [{ keepLast: -1 }, /"keepLast": expected a whole number from 0, found -1/],
  [{ keepLast: 1.5 }, /found 1\.5/],
  [{ keepLast: Number.NaN }, /found NaN/],
  [{ keepDaily: Infinity }, /"keepDaily": expected a whole number from 0, or "all", found Infinity/],
  [{ keepLast: 2 ** 53 }, /found 9007199254740992/],
  [{ keepLast: null }, /"keepLast": .*found nothing/],
  [{ keepLast: true }, /found true/],
  [{ keepLast: [5] }, /found a list/],
  [{ keepLast: { env: "X" } }, /found an object/],
  [{ keepLast: "5" }, /found "5"; did you mean 5, without quotes\?/],
  [{ keepLast: "all" }, /to keep every backup, leave `retention` out/],
  [{ keepYearly: "ALL" }, /found "ALL"; did you mean "all"\?/],
  [{ keepYearly: "forever" }, /found "forever"$/],
  [{ keepWithin: 30 }, /"keepWithin": expected a duration with its unit, for instance "30d" or "12h", found 30/],
  [{ keepWithin: "30x" }, /"keepWithin": .*"30x".*allowed are ms, s, m, h, d, w/],
  [{ keepWithin: "-3d" }, /"keepWithin": .*"-3d"/],
  [{ keepWithin: "" }, /"keepWithin": .*""/],
  [{ keepWithin: "30 dyas" }, /"keepWithin": .*"30 dyas"/],
  [{ keepWithin: "0x", keepLast: 1 }, /"keepWithin": .*"0x"/],
  [{ keepWithin: Number.NaN }, /found NaN/],
];

for (const [input, message] of refusals) {
  test(`F66 refused as config-invalid: ${JSON.stringify(input)} (${message.source.slice(0, 40)})`, () => {
    assert.throws(
      () => parseRetention(input),
      (error) => {
        assert.ok(error instanceof HoldfastError);
        assert.equal(error.code, "config-invalid");
        assert.match(error.message, /^Cannot use retention: /);
        assert.match(error.message, message);
        assert.match(error.hint ?? "", /keep every backup/);
        return true;
      },
    );
  });
}

test("F66 all problems of a policy are named at once, each with its key", () => {
  assert.throws(
    () => parseRetention({ keepLast: -1, keepWeekly: 1.5, keepHourly: 2 }),
    (error) => {
      assert.ok(error instanceof HoldfastError);
      const problems = error.details?.["problems"] as { key: string }[];
      assert.deepEqual(
        problems.map(({ key }) => key),
        ["keepLast", "keepWeekly", "keepHourly"],
      );
      return true;
    },
  );
});
