import assert from "node:assert/strict";
import { test } from "node:test";
import { withCatalog } from "../../test/support/catalog.ts";

test("F12 an alarm lasts until it is cleared, and its end knows its beginning", () => {
  withCatalog(({ alarms, meta }) => {
    const absence = { sinceMs: 1000, lastToldMs: 1000, detail: "no verified backup for 26h" };
    assert.equal(alarms.get("absence:nightly"), undefined);
    alarms.set("absence:nightly", absence);
    alarms.set("absence:nightly", { ...absence, lastToldMs: 5000 });
    alarms.set("a", { ...absence, sinceMs: 9000 });
    assert.deepEqual(alarms.get("absence:nightly"), { ...absence, lastToldMs: 5000 });
    assert.deepEqual(
      [...alarms.list()],
      [
        ["a", { ...absence, sinceMs: 9000 }],
        ["absence:nightly", { ...absence, lastToldMs: 5000 }],
      ],
    );
    assert.deepEqual(alarms.clear("absence:nightly"), { ...absence, lastToldMs: 5000 });
    assert.equal(alarms.clear("absence:nightly"), undefined);
    assert.deepEqual([...alarms.list().keys()], ["a"]);
    assert.equal(meta.get("a"), undefined);
  });
});

test("F64 a small fact of the daemon, such as the highest clock seen, is kept under its key", () => {
  withCatalog(({ meta }) => {
    assert.equal(meta.get("clock.highest"), undefined);
    meta.set("clock.highest", "1000");
    meta.set("clock.highest", "2000");
    meta.set("other", "");
    assert.deepEqual([meta.get("clock.highest"), meta.get("other")], ["2000", ""]);
  });
});
