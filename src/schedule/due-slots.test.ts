import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { decideDue, type DueDecision, type DueInput } from "./due-slots.ts";
import { jitterFor } from "./jitter.ts";
import { slotsBetween } from "./next-slot.ts";
import { parseSchedule } from "./parse-schedule.ts";

const at = (text: string): number => Date.parse(`${text}Z`);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const nightly: DueInput = {
  schedule: parseSchedule("0 3 * * *"),
  timezone: "UTC",
  nowMs: at("2026-05-10T03:00:00"),
  lastSlotMs: at("2026-05-09T03:00"),
  firstSeenMs: at("2026-05-01T12:00"),
  catchUp: "run",
};

describe("G1 F65 due slots", () => {
  test("D8 a slot runs at its time", () => {
    assert.deepEqual(decideDue(nightly), {
      run: { slotMs: at("2026-05-10T03:00"), reason: "on-time" },
      missed: [],
      missedCount: 0,
      settledMs: at("2026-05-10T03:00"),
      nextSlotMs: at("2026-05-11T03:00"),
      nextMs: at("2026-05-11T03:00"),
      clockBehindMs: 0,
    });
  });

  test("nothing is due before its time", () => {
    const decision = decideDue({ ...nightly, nowMs: nightly.nowMs - 1 });
    assert.deepEqual([decision.run, decision.settledMs, decision.nextMs], [undefined, undefined, at("2026-05-10T03:00")]);
  });

  test("F65 after downtime one run for the newest slot, the others missed", () => {
    const decision = decideDue({ ...nightly, nowMs: at("2026-05-13T12:00") });
    assert.deepEqual(decision.run, { slotMs: at("2026-05-13T03:00"), reason: "catch-up" });
    assert.deepEqual(decision.missed, [at("2026-05-10T03:00"), at("2026-05-11T03:00"), at("2026-05-12T03:00")]);
    assert.deepEqual([decision.missedCount, decision.nextMs], [3, at("2026-05-14T03:00")]);
  });

  test("F65 catchUp off: late slots are missed and settled, the next one waits for its time", () => {
    const decision = decideDue({ ...nightly, nowMs: at("2026-05-11T03:01:31"), catchUp: "skip" });
    assert.equal(decision.run, undefined);
    assert.deepEqual(decision.missed, [at("2026-05-10T03:00"), at("2026-05-11T03:00")]);
    assert.deepEqual([decision.settledMs, decision.nextMs], [at("2026-05-11T03:00"), at("2026-05-12T03:00")]);
  });

  test("F65 catchUp off: a slot within the tolerance still runs, older ones are missed", () => {
    const decision = decideDue({ ...nightly, nowMs: at("2026-05-11T03:01:30"), catchUp: "skip" });
    assert.deepEqual([decision.run, decision.missed], [{ slotMs: at("2026-05-11T03:00"), reason: "on-time" }, [at("2026-05-10T03:00")]]);
    assert.equal(decideDue({ ...nightly, nowMs: at("2026-05-11T03:01:30"), catchUp: "skip", toleranceMs: 1000 }).run, undefined);
  });

  test("G1 nothing at first installation, not even the slot of that very moment", () => {
    for (const schedule of ["0 3 * * *", "every 1h", "* * * * *"]) {
      const nowMs = at("2026-05-10T03:00");
      const decision = decideDue({ ...nightly, schedule: parseSchedule(schedule), nowMs, lastSlotMs: undefined, firstSeenMs: nowMs });
      assert.deepEqual([decision.run, decision.missedCount], [undefined, 0]);
      assert.ok(decision.nextMs > nowMs);
    }
  });

  test("a job seen anew owes nothing from before", () => {
    assert.equal(decideDue({ ...nightly, firstSeenMs: at("2026-05-10T03:00") }).run, undefined);
  });

  test("F64 the clock jumps back: nothing runs twice, and the decision says by how much", () => {
    const decision = decideDue({ ...nightly, nowMs: nightly.nowMs - 2 * dayMs, lastSlotMs: nightly.nowMs });
    assert.deepEqual([decision.run, decision.missedCount, decision.clockBehindMs], [undefined, 0, 2 * dayMs]);
    assert.equal(decision.nextMs, at("2026-05-11T03:00"));
  });

  test("F64 the clock jumps ten years forward: one run, the list is bounded, the number is right", () => {
    const decision = decideDue({
      ...nightly,
      schedule: parseSchedule("* * * * *"),
      nowMs: at("2036-05-10T03:00:30"),
      lastSlotMs: at("2026-05-10T03:00"),
    });
    assert.deepEqual(decision.run, { slotMs: at("2036-05-10T03:00"), reason: "on-time" });
    assert.deepEqual([decision.missed.length, decision.missed.at(-1)], [100, at("2036-05-10T02:59")]);
    assert.equal(decision.missedCount, (at("2036-05-10T03:00") - at("2026-05-10T03:00")) / 60_000 - 1);
  });

  test("L3 an interval goes on from its last slot and keeps its phase after downtime", () => {
    const input = { ...nightly, schedule: parseSchedule("every 1h"), lastSlotMs: at("2026-05-10T00:07"), nowMs: at("2026-05-10T03:30") };
    const decision = decideDue(input);
    assert.deepEqual([decision.run?.slotMs, decision.missedCount, decision.nextMs], [at("2026-05-10T03:07"), 2, at("2026-05-10T04:07")]);
    const first = decideDue({ ...input, lastSlotMs: undefined, firstSeenMs: at("2026-05-10T03:00") });
    assert.deepEqual([first.run, first.nextMs], [undefined, at("2026-05-10T04:00")]);
  });

  test("jitter holds a slot back by the same time at every look, within its bounds, differently per job", () => {
    const schedule = parseSchedule({ cron: "0 3 * * *", jitter: "10m" });
    const slotMs = at("2026-05-10T03:00");
    const jitterMs = jitterFor(schedule, "nightly", slotMs);
    assert.equal(jitterFor(schedule, "nightly", slotMs), jitterMs);
    assert.ok(jitterMs > 0);
    const input = { ...nightly, schedule, jobName: "nightly" };
    assert.equal(decideDue({ ...input, nowMs: slotMs + jitterMs - 1 }).run, undefined);
    assert.equal(decideDue({ ...input, nowMs: slotMs + jitterMs - 1 }).nextMs, slotMs + jitterMs);
    assert.deepEqual(decideDue({ ...input, nowMs: slotMs + jitterMs }).run, { slotMs, reason: "on-time" });
    const spread = Array.from({ length: 1000 }, (_, index) => jitterFor(schedule, `job-${index}`, slotMs));
    assert.ok(spread.every((each) => each >= 0 && each <= 600_000));
    assert.ok(Math.max(...spread) > 540_000 && Math.min(...spread) < 60_000);
    assert.equal(jitterFor(parseSchedule("daily"), "nightly", slotMs), 0);
  });

  test("prop-P2 F64 F65 any sequence of looks, clock jumps and restarts settles every slot once", () => {
    const schedules = [
      "*/30 * * * *",
      "30 2 * * *",
      "every 47m",
      { every: "30m", jitter: "20m" },
      { cron: "*/15 1-4 * * *", jitter: "14m" },
    ];
    const step = fc.oneof(fc.integer({ min: 0, max: 2 * hourMs }), fc.integer({ min: -5 * hourMs, max: 50 * hourMs }));
    const start = fc.constantFrom(at("2026-03-28T12:00"), at("2026-10-24T12:00"), at("2026-12-31T12:00"));
    fc.assert(
      fc.property(
        fc.constantFrom(...schedules),
        start,
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.constantFrom("run", "skip"),
        (spec, firstSeenMs, steps, catchUp) => {
          const schedule = parseSchedule(spec);
          const timezone = "Europe/Berlin";
          const ran: number[] = [];
          const missed: number[] = [];
          let nowMs = firstSeenMs;
          let lastSlotMs: number | undefined;
          for (const byMs of steps) {
            nowMs += byMs;
            const look = (): DueDecision =>
              decideDue({ schedule, timezone, nowMs, lastSlotMs, firstSeenMs, catchUp, jobName: "x", missedLimit: 10_000 });
            const decision = look();
            assert.deepEqual(look(), decision);
            assert.equal(decision.missedCount, decision.missed.length);
            assert.ok(decision.nextMs > nowMs || decision.run !== undefined || decision.missedCount > 0, "a look without effect must wait");
            missed.push(...decision.missed);
            if (decision.run !== undefined) {
              ran.push(decision.run.slotMs);
              assert.ok(decision.run.slotMs <= nowMs);
            }
            lastSlotMs = decision.settledMs ?? lastSlotMs;
          }
          const settled = [...ran, ...missed].sort((a, b) => a - b);
          const expected = lastSlotMs === undefined ? [] : slotsBetween(schedule, firstSeenMs, lastSlotMs, timezone, 1e6, firstSeenMs);
          assert.deepEqual(settled, expected);
        },
      ),
      { numRuns: process.env["HOLDFAST_LONG"] === "1" ? 5000 : 300 },
    );
  });
});
