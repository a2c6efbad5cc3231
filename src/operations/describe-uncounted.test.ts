import assert from "node:assert/strict";
import { test } from "node:test";
import { describeUncounted } from "./describe-uncounted.ts";

const holding = (...tables: readonly string[]): Parameters<typeof describeUncounted>[0] => ({
  contents: { counts: { bytes: 1, ...Object.fromEntries(tables.map((table) => [`rows.${table}`, 2])) }, digests: {}, facts: {} },
});

test("F7 the plan of a table that the backup does not count says so, and what it counts", () => {
  const member = holding("public.Users", 'public."a.b"', "note");
  for (const known of [["Users"], ["public.Users"], ["note"], ['public."a.b"'], ["a.b"], undefined, []])
    assert.deepEqual(describeUncounted(member, known), [], String(known));
  const [told, ...rest] = describeUncounted(member, ["Users", "sers", "nosuch"]);
  assert.deepEqual(rest, []);
  assert.equal(told?.level, "warning");
  assert.match(told.message, /no rows of sers, nosuch, but of public\.Users, public\."a\.b", note:/);
  assert.deepEqual(describeUncounted(holding(), ["nosuch"]), []);
});
