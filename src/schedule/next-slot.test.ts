import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countSlots, newestSlots, nextSlot, slotsBetween } from "./next-slot.ts";
import { parseSchedule } from "./parse-schedule.ts";

const local = (slotMs: number, zone: string): string => {
  const zoned = Temporal.Instant.fromEpochMilliseconds(slotMs).toZonedDateTimeISO(zone);
  return zoned.toPlainDateTime().toString({ smallestUnit: "minute" }) + zoned.offset;
};

interface Case {
  readonly title: string;
  readonly schedule: unknown;
  readonly zone: string;
  readonly after: string;
  readonly slots: readonly string[];
}

const cases: readonly Case[] = [
  {
    title: "the slot itself is not after itself",
    schedule: "0 3 * * *",
    zone: "UTC",
    after: "2026-05-01T03:00Z",
    slots: ["2026-05-02T03:00+00:00"],
  },
  {
    title: "a millisecond before a slot",
    schedule: "0 3 * * *",
    zone: "UTC",
    after: "2026-05-01T02:59:59.999Z",
    slots: ["2026-05-01T03:00+00:00"],
  },
  {
    title: "W4 monthly over the end of the year",
    schedule: "monthly",
    zone: "Asia/Tokyo",
    after: "2026-12-01T00:00Z",
    slots: ["2027-01-01T02:00+09:00", "2027-02-01T02:00+09:00"],
  },
  {
    title: "W4 weekly is Sunday",
    schedule: "weekly",
    zone: "UTC",
    after: "2026-12-24T00:00Z",
    slots: ["2026-12-27T02:00+00:00", "2027-01-03T02:00+00:00"],
  },
  {
    title: "F63 leap day, 2100 left out",
    schedule: "0 0 29 2 *",
    zone: "UTC",
    after: "2092-03-01T00:00Z",
    slots: ["2096-02-29T00:00+00:00", "2104-02-29T00:00+00:00"],
  },
  {
    title: "F63 the longest wait: 29 February on a weekend, across 2100",
    schedule: "0 0 29 2 */6",
    zone: "UTC",
    after: "2072-02-29T00:00Z",
    slots: ["2076-02-29T00:00+00:00", "2088-02-29T00:00+00:00", "2116-02-29T00:00+00:00"],
  },
  {
    title: "crontab's rule for two day fields: either",
    schedule: "0 3 1 * MON",
    zone: "UTC",
    after: "2026-11-24T00:00Z",
    slots: ["2026-11-30T03:00+00:00", "2026-12-01T03:00+00:00", "2026-12-07T03:00+00:00"],
  },
  {
    title: "crontab's rule for two day fields, one with a star: both",
    schedule: "0 3 */2 * MON",
    zone: "UTC",
    after: "2026-11-24T00:00Z",
    slots: ["2026-12-07T03:00+00:00", "2026-12-21T03:00+00:00"],
  },
  {
    title: "the 31st leaves short months out",
    schedule: "0 3 31 * *",
    zone: "UTC",
    after: "2026-01-31T03:00Z",
    slots: ["2026-03-31T03:00+00:00", "2026-05-31T03:00+00:00"],
  },
  {
    title: "F63 gap: right after the gap, on that day",
    schedule: "30 2 * * *",
    zone: "Europe/Berlin",
    after: "2026-03-28T00:00Z",
    slots: ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
  },
  {
    title: "F63 gap: several collapse into one",
    schedule: "*/10 2 * * *",
    zone: "Europe/Berlin",
    after: "2026-03-28T02:00Z",
    slots: ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:10+02:00"],
  },
  {
    title: "F63 gap: the slot after it is one with the slot of the gap",
    schedule: "0 2,3 * * *",
    zone: "Europe/Berlin",
    after: "2026-03-28T03:00Z",
    slots: ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"],
  },
  {
    title: "F63 gap at midnight",
    schedule: "0 0 * * *",
    zone: "America/Sao_Paulo",
    after: "2018-11-03T12:00Z",
    slots: ["2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"],
  },
  {
    title: "F63 gap: an every-hour schedule goes on in elapsed time",
    schedule: "15 * * * *",
    zone: "Europe/Berlin",
    after: "2026-03-29T00:00Z",
    slots: ["2026-03-29T01:15+01:00", "2026-03-29T03:15+02:00", "2026-03-29T04:15+02:00"],
  },
  {
    title: "F63 gap of half an hour",
    schedule: "15 2 * * *",
    zone: "Australia/Lord_Howe",
    after: "2026-10-03T00:00Z",
    slots: ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
  },
  {
    title: "F63 overlap: the first of the two",
    schedule: "30 2 * * *",
    zone: "Europe/Berlin",
    after: "2026-10-24T12:00Z",
    slots: ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
  },
  {
    title: "F63 overlap: not again when asked between the two",
    schedule: "30 2 * * *",
    zone: "Europe/Berlin",
    after: "2026-10-25T00:31Z",
    slots: ["2026-10-26T02:30+01:00"],
  },
  {
    title: "F63 overlap: minutes of a fixed hour once",
    schedule: "*/30 2 * * *",
    zone: "Europe/Berlin",
    after: "2026-10-24T12:00Z",
    slots: ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:00+01:00"],
  },
  {
    title: "F63 overlap: an every-hour schedule runs in the repeated hour too",
    schedule: "*/30 * * * *",
    zone: "Europe/Berlin",
    after: "2026-10-25T00:00Z",
    slots: ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00", "2026-10-25T03:00+01:00"],
  },
  {
    title: "F63 overlap at midnight: the date is shown twice, the slot is one",
    schedule: "30 23 * * *",
    zone: "America/Sao_Paulo",
    after: "2018-02-17T12:00Z",
    slots: ["2018-02-17T23:30-02:00", "2018-02-18T23:30-03:00"],
  },
  {
    title: "F63 a day that never was (Samoa, 30 December 2011)",
    schedule: "0 3 * * *",
    zone: "Pacific/Apia",
    after: "2011-12-29T00:00Z",
    slots: ["2011-12-29T03:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T03:00+14:00"],
  },
  {
    title: "F63 a day that never was, every hour of it: once",
    schedule: "30 * 30 12 *",
    zone: "Pacific/Apia",
    after: "2011-12-29T00:00Z",
    slots: ["2011-12-31T00:00+14:00", "2012-12-30T00:30+14:00"],
  },
  {
    title: "F63 offsets with seconds (Liberia before 1972)",
    schedule: "0 3 * * *",
    zone: "Africa/Monrovia",
    after: "1972-01-06T00:00Z",
    slots: ["1972-01-06T03:00-00:44:30", "1972-01-07T03:00+00:00"],
  },
  {
    title: "a zone of the schedule wins over that of the job",
    schedule: { at: "daily", timezone: "Europe/Berlin" },
    zone: "UTC",
    after: "2026-01-01T12:00Z",
    slots: ["2026-01-02T01:00+00:00"],
  },
];

describe("F63 W4 next slot", () => {
  for (const { title, schedule, zone, after, slots } of cases) {
    test(title, () => {
      const found = slotsBetween(parseSchedule(schedule), Date.parse(after), Infinity, zone, slots.length);
      assert.deepEqual(
        found.map((slotMs) => local(slotMs, zone)),
        slots,
      );
      assert.equal(nextSlot(parseSchedule(schedule), Date.parse(after), zone), found[0]);
    });
  }

  test("W10 L3 intervals lie on their anchor and do not drift", () => {
    const schedule = parseSchedule("every 90s");
    assert.deepEqual(slotsBetween(schedule, 1000, Infinity, "UTC", 3, 1000), [91_000, 181_000, 271_000]);
    assert.equal(nextSlot(schedule, 90_999, "UTC", 1000), 91_000);
    assert.equal(nextSlot(schedule, 91_000, "UTC", 1000), 181_000);
    assert.equal(nextSlot(schedule, -500_000, "UTC", 1000), -449_000);
    const hours = slotsBetween(
      parseSchedule("every 6h"),
      Date.parse("2026-03-28T23:00Z"),
      Infinity,
      "Europe/Berlin",
      3,
      Date.parse("2026-03-28T23:00Z"),
    );
    assert.deepEqual(hours.map((slotMs) => local(slotMs, "Europe/Berlin")), ["2026-03-29T07:00+02:00", "2026-03-29T13:00+02:00", "2026-03-29T19:00+02:00"]); // prettier-ignore
  });

  test("slots of a stretch: first ones, newest ones, their number", () => {
    const schedule = parseSchedule("* * * * *");
    const from = Date.parse("2026-01-01T00:00Z");
    const until = Date.parse("2036-01-01T00:00Z");
    assert.equal(countSlots(schedule, from, until, "Europe/Berlin"), (until - from) / 60_000);
    assert.deepEqual(newestSlots(schedule, from, until, "Europe/Berlin", 2), [until - 60_000, until]);
    assert.deepEqual(newestSlots(schedule, until, until, "Europe/Berlin", 2), []);
    assert.deepEqual(slotsBetween(schedule, until, from, "Europe/Berlin", 5), []);
    assert.deepEqual(slotsBetween(schedule, from, until, "Europe/Berlin", 1), [from + 60_000]);
  });

  test("what is no instant is refused, not searched for", () => {
    for (const schedule of [parseSchedule("daily"), parseSchedule("every 5m")]) {
      assert.throws(() => nextSlot(schedule, Number.NaN, "UTC"), RangeError);
      assert.throws(() => nextSlot(schedule, Infinity, "UTC"), RangeError);
    }
  });
});
