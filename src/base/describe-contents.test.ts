import assert from "node:assert/strict";
import { test } from "node:test";
import { compareCounts, describeCounts, describeDifference } from "./describe-contents.ts";

test("what is counted, in a few words; what is not, not at all", () => {
  assert.equal(describeCounts({ "rows.a": 1200, "rows.b": 3, "rows.c": 1 }), "3 tables, 1,204 rows");
  assert.equal(describeCounts({ "keys.db0": 1, "expires.db0": 0, functions: 0 }), "1 key");
  assert.equal(describeCounts({ "keys.db0": 1, "keys.db3": 2 }), "3 keys in 2 databases");
  assert.equal(describeCounts({ files: 1, bytes: 2048, directories: 4 }), "1 file, 2.0 KiB");
  assert.equal(describeCounts({ "records.a": 5, "records.b": 1, files: 9 }), "2 collections, 6 records, 9 files");
  assert.equal(describeCounts({ largeObjects: 0 }), undefined);
});

test("A14 the differences that both sides count: changed, gone, and coming back", () => {
  const found = compareCounts(
    { "rows.m": 1204, "rows.later": 12, "rows.same": 1, files: 3 },
    { "rows.m": 1180, "rows.old": 4, "rows.same": 1 },
  );
  assert.deepEqual(found.map(describeDifference), ["later 12 → gone", "m 1,204 → 1,180", "old not there → 4"]);
  assert.deepEqual(
    compareCounts({ files: 2, bytes: 5 }, { files: 3, bytes: 5, "records.docs": 9 }).map(describeDifference),
    ["files 2 → 3"],
    "what is in the files that are there was not counted",
  );
  assert.deepEqual(compareCounts({}, { "records.docs": 9 }).map(describeDifference), ["docs not there → 9"]);
  assert.deepEqual(compareCounts({ files: 2, bytes: 5 }, { files: 2, bytes: 2048 }).map(describeDifference), ["bytes 5 B → 2.0 KiB"]);
});
