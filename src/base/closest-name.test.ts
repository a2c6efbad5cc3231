import assert from "node:assert/strict";
import { test } from "node:test";
import { findClosest } from "./closest-name.ts";

const keys = ["keepLast", "keepWithin", "keepDaily", "keepWeekly", "keepMonthly", "keepYearly"];

for (const [typed, meant] of [
  ["keepLats", "keepLast"],
  ["keeplast", "keepLast"],
  ["keep-weekly", "keepWeekly"],
  ["keep_yaerly", "keepYearly"],
  ["kepDaily", "keepDaily"],
  ["monthly", "keepMonthly"],
  ["within", "keepWithin"],
] as const) {
  test(`F66 "${typed}" was meant as "${meant}"`, () => assert.equal(findClosest(typed, keys), meant));
}

for (const typed of ["", "-", "keep", "schedule", "x", "constructor", "k".repeat(10_000)]) {
  test(`nothing is near "${typed.slice(0, 12)}"`, () => assert.equal(findClosest(typed, keys), undefined));
}

test("the first of equally near names is taken, and none of none", () => {
  assert.equal(findClosest("caz", ["car", "cat"]), "car");
  assert.equal(findClosest("cat", []), undefined);
});
