import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { foldEvents, formatEvent, parseEvents, type BackupEvent } from "./events.ts";

const at = (minute: number): string => new Date(Date.UTC(2024, 0, 1, 12, minute)).toISOString();
const publishedAt = at(0);

test("a backup counts as verified from its publication, and events add up in their order", () => {
  const events: BackupEvent[] = [
    { at: at(1), event: "pinned", reason: "before the migration" },
    { at: at(2), event: "note", text: "migrated" },
    { at: at(3), event: "drilled", tookMs: 1200, datastores: ["memory"] },
    { at: at(4), event: "copied", destination: "offsite" },
    { at: at(5), event: "verified", tookMs: 10 },
    { at: at(6), event: "accepted", reason: "half of it was removed on purpose" },
  ];
  const marks = foldEvents(parseEvents(events.map(formatEvent).join("")), publishedAt);
  assert.deepEqual(marks, {
    pinned: "before the migration",
    verifiedAt: at(5),
    drilledAt: at(3),
    drillMs: 1200,
    damaged: null,
    accepted: "half of it was removed on purpose",
    notes: ["migrated"],
  });
  assert.equal(foldEvents([], publishedAt).verifiedAt, publishedAt);
  assert.equal(foldEvents([...events, { at: at(7), event: "unpinned" }], publishedAt).pinned, null);
});

test("damage is taken back only by what could have found it", () => {
  const damaged: BackupEvent = { at: at(1), event: "damaged", reason: "bit rot" };
  const failed: BackupEvent = { at: at(1), event: "drill-failed", reason: "other rows" };
  const verified: BackupEvent = { at: at(2), event: "verified", tookMs: 1 };
  const drilled: BackupEvent = { at: at(2), event: "drilled", tookMs: 1, datastores: [] };
  const fold = (...events: BackupEvent[]): string | null => foldEvents(events, publishedAt).damaged;
  assert.equal(fold(damaged), "bit rot");
  assert.equal(fold(damaged, verified), null);
  assert.equal(fold(damaged, drilled), "bit rot");
  assert.equal(fold(failed), "other rows");
  assert.equal(fold(failed, drilled), null);
  assert.equal(fold(failed, verified), "other rows", "whole bytes do not prove that the restore works now");
  assert.equal(fold(damaged, failed, verified), "other rows");
});

test("F1 a line that a crash tore, and events of later versions, are passed over; the others count", () => {
  const good = formatEvent({ at: at(1), event: "pinned", reason: "x" });
  for (let length = 0; length < good.length - 1; length += 1)
    assert.deepEqual(parseEvents(`${good}${good.slice(0, length)}\n${good}`).length, 2);
  assert.equal(parseEvents(`${good}{"at":"${at(2)}","event":"sealed","by":"v9"}\n`).length, 1);
});

test("E7 any text gives events, never an error", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.array(fc.json()).map((lines) => lines.join("\n")),
      ),
      (text) => {
        for (const event of parseEvents(text)) assert.equal(parseEvents(formatEvent(event)).length, 1);
      },
    ),
  );
});

test("an event is one line, whatever its texts hold", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (reason) => {
      const line = formatEvent({ at: at(1), event: "pinned", reason });
      assert.equal(line.indexOf("\n"), line.length - 1);
      assert.equal(foldEvents(parseEvents(line), publishedAt).pinned, reason);
    }),
  );
});
