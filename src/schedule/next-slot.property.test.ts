import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Cron } from "croner";
import { fc } from "../../test/support/properties.ts";
import { countSlots, newestSlots, nextSlot, slotsBetween } from "./next-slot.ts";
import { parseSchedule, type CronSchedule, type Schedule } from "./parse-schedule.ts";

const long = process.env["HOLDFAST_LONG"] === "1";
const zones = Intl.supportedValuesOf("timeZone");
const dayMs = 86_400_000;
const minuteMs = 60_000;

const parseCronSchedule = (text: string): CronSchedule => {
  const schedule = parseSchedule(text);
  assert.ok(schedule.kind === "cron");
  return schedule;
};

const timed = ["30 2 * * *", "0 0 * * *", "0 3 * * *", "*/20 2 * * *", "15 0-5 * * *", "59 23 * * *", "0 2,3 * * *", "45 */2 * * *", "*/10 1-22 * * 0,6", "0 1 28-31 * *"]; // prettier-ignore
const everyHour = ["0 * * * *", "*/30 * * * *", "15 * * * *", "*/15 * * * SUN", "20 * 1,30,31 * *"];
const specs = [...timed, ...everyHour].map(parseCronSchedule);

interface Transition {
  readonly zone: string;
  readonly atMs: number;
}

/** Every change of offset of every zone, 1970 to 2040; of zones that change alike one is taken. */
function* listTransitions(): Generator<Transition, void, void> {
  const seen = new Set<string>();
  for (const zone of zones) {
    let at: Temporal.ZonedDateTime | null = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
    while ((at = at.getTimeZoneTransition("next")) !== null && at.year <= 2040) {
      const before = at.subtract({ nanoseconds: 1 }).offsetNanoseconds;
      const key = `${at.epochMilliseconds} ${before} ${at.offsetNanoseconds}`;
      if (before === at.offsetNanoseconds || (!long && seen.has(key))) continue;
      seen.add(key);
      yield { zone, atMs: at.epochMilliseconds };
    }
  }
}

/**
 * The rule of slots once more, the naive way: every minute of the wall clock around the instant is looked up in the zone.
 * Slots in (fromMs, untilMs].
 */
function findSlotsNaively(schedule: CronSchedule, zone: string, fromMs: number, untilMs: number): readonly number[] {
  const { fields } = schedule;
  const slots = new Set<number>();
  const readWall = (atMs: number): Temporal.PlainDateTime =>
    Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone).toPlainDateTime();
  // Two days more on either side: what one end of a gap swallowed belongs to the other.
  const last = readWall(untilMs).toPlainDate().add({ days: 2 });
  for (
    let date = readWall(fromMs).toPlainDate().subtract({ days: 2 });
    Temporal.PlainDate.compare(date, last) <= 0;
    date = date.add({ days: 1 })
  ) {
    const byDate = fields.daysOfMonth.includes(date.day);
    const byWeekday = fields.daysOfWeek.includes(date.dayOfWeek % 7);
    if (!fields.months.includes(date.month) || !(fields.dayRule === "both" ? byDate && byWeekday : byDate || byWeekday)) continue;
    for (const hour of fields.hours) {
      for (const minute of fields.minutes) {
        const wall = date.toPlainDateTime({ hour, minute });
        const earlier = wall.toZonedDateTime(zone, { disambiguation: "earlier" });
        const later = wall.toZonedDateTime(zone, { disambiguation: "later" });
        if (earlier.toPlainDateTime().equals(wall)) {
          slots.add(earlier.epochMilliseconds);
          if (fields.hours.length === 24) slots.add(later.epochMilliseconds);
          continue;
        }
        const gapMs = (later.offsetNanoseconds - earlier.offsetNanoseconds) / 1e6;
        const behind = later.add({ nanoseconds: 1 }).getTimeZoneTransition("previous");
        if (behind !== null && (fields.hours.length < 24 || gapMs >= dayMs)) slots.add(behind.epochMilliseconds);
      }
    }
  }
  return [...slots].filter((slotMs) => slotMs > fromMs && slotMs <= untilMs).sort((a, b) => a - b);
}

function assertStrictlyIncreasing(slots: readonly number[], message: string): void {
  for (const [index, slotMs] of slots.entries()) assert.ok(slotMs > (slots[index - 1] ?? -Infinity), message);
}

/** All that the functions say about (fromMs, untilMs] must agree. */
function checkAgreement(schedule: Schedule, zone: string, fromMs: number, untilMs: number, message: string): readonly number[] {
  const slots = slotsBetween(schedule, fromMs, untilMs, zone, 1e5, 7);
  assertStrictlyIncreasing(slots, message);
  assert.equal(countSlots(schedule, fromMs, untilMs, zone, 7), slots.length, message);
  assert.deepEqual(newestSlots(schedule, fromMs, untilMs, zone, 3, 7), slots.slice(-3), message);
  let afterMs = fromMs;
  for (const slotMs of slots.slice(0, 50)) {
    assert.equal(nextSlot(schedule, afterMs, zone, 7), slotMs, message);
    assert.equal(nextSlot(schedule, slotMs - 1, zone, 7), slotMs, message);
    afterMs = slotMs;
  }
  return slots;
}

const two = (first: number, last: number): fc.Arbitrary<string> =>
  fc
    .tuple(fc.integer({ min: first, max: last }), fc.integer({ min: first, max: last }))
    .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const makeField = (first: number, last: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 3, arbitrary: fc.integer({ min: first, max: last }).map(String) },
    fc.integer({ min: 2, max: last - 1 }).map((step) => `*/${step}`),
    two(first, last),
    fc.tuple(two(first, last), fc.integer({ min: 1, max: 5 })).map(([range, step]) => `${range}/${step}`),
    fc.tuple(two(first, last), fc.integer({ min: first, max: last })).map(([range, one]) => `${one},${range}`),
  );
const minute = fc.oneof(fc.constantFrom("0", "30", "*/15"), makeField(0, 59));
const dayPair = fc.oneof(
  fc.tuple(makeField(1, 28), fc.constant("*")),
  fc.tuple(fc.constant("*"), makeField(0, 6)),
  fc.tuple(two(1, 28), two(0, 6)),
);
const anyCron = fc
  .tuple(minute, makeField(0, 23), dayPair, makeField(1, 12))
  .map(([m, h, [dom, dow], month]) => `${m} ${h} ${dom} ${month} ${dow}`);
const anyInstant = fc.integer({ min: 0, max: Date.UTC(2099, 11, 31) });
const anyZone = fc.constantFrom(...zones);

describe("prop-P2 F63 slots in all zones", () => {
  test("every transition 1970-2040 of every zone: exactly the slots of the rule, in order, each once", () => {
    let count = 0;
    for (const { zone, atMs } of listTransitions()) {
      // One spec of each class in turn, all in the long run.
      const chosen = long ? specs : [specs[count % timed.length], specs[timed.length + (count % everyHour.length)]];
      count += 1;
      for (const schedule of chosen) {
        assert.ok(schedule !== undefined);
        const [fromMs, untilMs] = long ? [atMs - 2 * dayMs - 1, atMs + 2 * dayMs] : [atMs - dayMs / 4 - 1, atMs + dayMs / 4];
        const slots = slotsBetween(schedule, fromMs, untilMs, zone, 1e5);
        assert.deepEqual(
          slots,
          findSlotsNaively(schedule, zone, fromMs, untilMs),
          `${schedule.cron} ${zone} ${new Date(atMs).toISOString()}`,
        );
      }
    }
    assert.ok(count > 4000, `only ${count} transitions were seen`);
  });

  test("every zone: counting, listing forwards and backwards and stepping agree around its transitions", () => {
    let turn = 0;
    for (const { zone, atMs } of listTransitions()) {
      turn += 1;
      if (!long && turn % 10 !== 0) continue;
      const schedule = specs[turn % specs.length];
      assert.ok(schedule !== undefined);
      checkAgreement(schedule, zone, atMs - dayMs, atMs + dayMs, `${schedule.cron} ${zone} ${new Date(atMs).toISOString()}`);
    }
  });

  test("any cron, zone and instant: later than asked, nothing between, the wall clock shows an allowed time or a gap lies before", () => {
    fc.assert(
      fc.property(anyCron, anyZone, anyInstant, fc.double({ min: 0, max: 1, noNaN: true }), (cron, zone, afterMs, part) => {
        const schedule = parseCronSchedule(cron);
        const slotMs = nextSlot(schedule, afterMs, zone);
        assert.ok(Number.isSafeInteger(slotMs) && slotMs > afterMs);
        assert.equal(nextSlot(schedule, afterMs + Math.floor((slotMs - afterMs - 1) * part), zone), slotMs);
        const zoned = Temporal.Instant.fromEpochMilliseconds(slotMs).toZonedDateTimeISO(zone);
        const transition = zoned.add({ nanoseconds: 1 }).getTimeZoneTransition("previous");
        if (transition?.epochMilliseconds === slotMs) return;
        const { fields } = schedule;
        assert.ok(fields.minutes.includes(zoned.minute) && fields.hours.includes(zoned.hour) && fields.months.includes(zoned.month));
        assert.equal(zoned.second, 0);
      }),
      { numRuns: long ? 100_000 : 2000 },
    );
  });

  test("any schedule: all that is said about a stretch agrees", () => {
    const anyEvery = fc.integer({ min: 60_000, max: 40 * dayMs }).map((everyMs): Schedule => parseSchedule(everyMs));
    const anySchedule = fc.oneof(
      anyCron.map((cron): Schedule => parseSchedule(cron)),
      anyEvery,
    );
    fc.assert(
      fc.property(anySchedule, anyZone, anyInstant, fc.integer({ min: 0, max: 3 * dayMs }), (schedule, zone, fromMs, widthMs) => {
        checkAgreement(schedule, zone, fromMs, fromMs + widthMs, JSON.stringify(schedule));
      }),
      { numRuns: long ? 20_000 : 300 },
    );
  });

  test("no zone changes twice within two days, which the rule counts on", () => {
    for (const zone of zones) {
      let lastMs = -Infinity;
      let at: Temporal.ZonedDateTime | null = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
      while ((at = at.getTimeZoneTransition("next")) !== null && at.year < 2100) {
        assert.ok(at.epochMilliseconds - lastMs > 2 * dayMs, `${zone} ${at.toString()}`);
        lastMs = at.epochMilliseconds;
      }
    }
  });

  test("intervals: slots lie on the anchor's grid, whatever is asked", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 100 * dayMs }), anyInstant, anyInstant, (everyMs, afterMs, anchorMs) => {
        const slotMs = nextSlot(parseSchedule(everyMs), afterMs, "UTC", anchorMs);
        assert.ok(slotMs > afterMs && slotMs - everyMs <= afterMs);
        assert.equal(Math.abs((slotMs - anchorMs) % everyMs), 0);
      }),
    );
  });

  test("croner finds the same slots away from transitions", () => {
    let compared = 0;
    fc.assert(
      fc.property(anyCron, anyZone, anyInstant, (cron, zone, randomMs) => {
        const afterMs = Math.floor(randomMs / minuteMs) * minuteMs;
        const slots = slotsBetween(parseSchedule(cron), afterMs, Infinity, zone, 3);
        const transition = Temporal.Instant.fromEpochMilliseconds(afterMs - 2 * dayMs)
          .toZonedDateTimeISO(zone)
          .getTimeZoneTransition("next");
        if (transition !== null && transition.epochMilliseconds < (slots.at(-1) ?? 0) + 2 * dayMs) return;
        const theirs = new Cron(cron, { timezone: zone, paused: true }).nextRuns(3, new Date(afterMs));
        assert.deepEqual(slots, theirs.map((date) => date.getTime()), `${cron} ${zone} ${new Date(afterMs).toISOString()}`); // prettier-ignore
        compared += 1;
      }),
      { numRuns: long ? 20_000 : 500 },
    );
    assert.ok(compared > 100, `only ${compared} were compared`);
  });
});
