import assert from "node:assert/strict";
import { test } from "node:test";
import { requirementGroups } from "../support/requirement-ids.ts";
import { findIds, formatStatus } from "../support/status-document.ts";
import { type Outcome, type TestResult } from "../support/test-results.ts";

const result = (file: string, titles: readonly string[], outcome: Outcome): TestResult => ({
  kind: "test",
  file,
  line: 1,
  titles,
  outcome,
});

test("ids are found as words only, and only known ones", () => {
  assert.deepEqual(findIds(["D4", "and", "F25/E1:", "x"].join(" ")), ["D4", "F25", "E1"]);
  assert.deepEqual(findIds(["E2E", "xD4", "D40", "F74", "UTF8", "D4-like", "d4"].join(" ")), []);
  assert.deepEqual(findIds(["prop-P1", "P2"].join(" ")), ["prop-P1", "P2"], "a property is no requirement of Parmelae's");
});

test("the status document lists passed tests under their ids, the same for any order, and says what is missing", () => {
  const lister = result("/p/test/e2e/list.test.ts", ["suite", ["D4", "lists *all*"].join(" ")], "passed");
  const results = [
    result("/p/src/a.test.ts", [["P1", "hot"].join(" "), "inner"], "passed"),
    lister,
    lister,
    result("/p/src/b.test.ts", ["D5"], "failed"),
    result("/p/src/b.test.ts", ["D6"], "skipped"),
  ];
  const text = formatStatus("/p", results);
  assert.equal(formatStatus("/p", results.toReversed()), text);
  assert.match(
    text,
    /^- \*\*D4\*\* List of backups, newest first.*: proven by\n {2}- suite › D4 lists \\\*all\\\* \(`test\/e2e\/list\.test\.ts`\)\n- \*\*D5\*\*/m,
  );
  assert.match(text, /^ {2}- P1 hot › inner/m, "the names of parents count");
  assert.match(text, /^- \*\*D5\*\* .*: no test yet$/m);
  assert.match(text, /^- \*\*D6\*\* .*: no test yet$/m);
  assert.match(text, /^## ChatGPT Duck.*: 1 of 14$/m);
});

test("every requirement and failure has its line", () => {
  const counts = Object.fromEntries(requirementGroups.map(({ prefix, lines }) => [prefix, lines.length]));
  assert.deepEqual(counts, { D: 14, P: 11, A: 19, W: 13, L: 7, G: 7, F: 73, E: 7, "prop-P": 10 });
  for (const { lines } of requirementGroups) for (const line of lines) assert.match(line, /^.{3,160}$/);
});
