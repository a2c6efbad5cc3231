import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import nodeCron from "node-cron";
import { HoldfastError } from "../base/errors.ts";
import { describeSchedule } from "./describe-schedule.ts";
import { parseSchedule } from "./parse-schedule.ts";
import { parseTimeZone } from "./parse-time-zone.ts";

const described: readonly (readonly [input: unknown, text: string])[] = [
  ["daily", "every day at 02:00 (Europe/Berlin)"],
  ["weekly", "every Sunday at 02:00 (Europe/Berlin)"],
  ["monthly", "on the 1st of every month at 02:00 (Europe/Berlin)"],
  ["hourly", "every hour (Europe/Berlin)"],
  ["@daily", "every day at 00:00 (Europe/Berlin)"],
  ["@Weekly", "every Sunday at 00:00 (Europe/Berlin)"],
  ["@hourly", "every hour (Europe/Berlin)"],
  ["0 3 * * *", "every day at 03:00 (Europe/Berlin)"],
  ["  0\t3 *  * * ", "every day at 03:00 (Europe/Berlin)"],
  ["30 2,14 * * *", "every day at 02:30 and 14:30 (Europe/Berlin)"],
  ["0 3 * * MON-FRI", "every Monday to Friday at 03:00 (Europe/Berlin)"],
  ["0 3 * * sat,7", "every Sunday and Saturday at 03:00 (Europe/Berlin)"],
  ["0 3 1,15,22 * *", "on the 1st, 15th and 22nd of every month at 03:00 (Europe/Berlin)"],
  ["*/30 * * * *", "every 30 minutes (Europe/Berlin)"],
  ["* * * * *", "every minute (Europe/Berlin)"],
  ["15 * * * *", "every hour at minute 15 (Europe/Berlin)"],
  ["*/7 * * * *", "cron */7 * * * * (Europe/Berlin)"],
  ["0 3 1 * MON", "cron 0 3 1 * MON (Europe/Berlin)"],
  ["0 3 * january *", "cron 0 3 * january * (Europe/Berlin)"],
  ["every 30m", "every 30m"],
  ["every 90s", "every 1m 30s"],
  ["every 2d", "every 2d"],
  [3_600_000, "every 1h"],
  ["3600000", "every 1h"],
  [{ every: "30m", jitter: "5m" }, "every 30m, up to 5m later"],
  [{ every: 3_600_000 }, "every 1h"],
  [{ at: "daily", timezone: "america/new_york" }, "every day at 02:00 (America/New_York)"],
  [{ cron: "0 3 * * *", timezone: "UTC", jitter: "10m" }, "every day at 03:00 (UTC), up to 10m later"],
];

const refused: readonly (readonly [input: unknown, message: RegExp])[] = [
  [undefined, /schedule undefined: allowed are hourly, daily/],
  [null, /allowed are/],
  [true, /allowed are/],
  [["0 3 * * *"], /allowed are/],
  ["", /allowed are/],
  ["dayly", /"dayly": allowed are hourly, daily, weekly, monthly/],
  ["0 3 * *", /4 fields instead of five/],
  ["0 0 3 * * *", /six fields, and seconds are not supported/],
  ["0 0 31 2 *", /day 31 never comes in month 2/],
  ["0 0 31 4,6,SEP,11 *", /never comes/],
  ["0 0 30 2 MON", /never comes/],
  ["60 * * * *", /minute "60": 60 is out of range; allowed are 0 to 59/],
  ["0 24 * * *", /hour "24"/],
  ["0 3 0 * *", /day of month "0"/],
  ["0 3 * 13 *", /month "13".* names such as FEB/],
  ["0 3 * * 8", /day of week "8"/],
  ["0 3 * * FUN", /"FUN" is not a value/],
  ["0 3 L * *", /"L" is not a value/],
  ["0 3 * * 1#2", /cannot read "1#2"/],
  ["5/15 * * * *", /a step needs \* or a range before it: 5-59\/15/],
  ["*/90 * * * *", /step 90 is out of range.*every 90m/],
  ["*/0 * * * *", /step 0/],
  ["50-10 * * * *", /runs backwards/],
  ["1- * * * *", /cannot read "1-"/],
  ["0 3 * * ,", /cannot read ""/],
  ["@reboot", /@reboot is not a time/],
  ["@often", /unknown nickname; allowed are @yearly/],
  ["every 5 parsecs", /interval "5 parsecs": unknown unit "parsecs"; allowed are ms, s, m, h, d, w/],
  ["every 0s", /an interval must be 1s to/],
  ["every -5m", /must not be negative/],
  [0, /an interval must be/],
  [-1, /an interval must be/],
  [Number.NaN, /an interval must be/],
  [1500.5, /an interval must be/],
  [{}, /exactly one of cron, every, at must be given, found 0/],
  [{ cron: "daily", every: "5m" }, /found 2/],
  [{ corn: "0 3 * * *" }, /unknown key "corn"; allowed are cron, every, at, timezone, jitter/],
  [{ cron: 5 }, /take text/],
  [{ at: "every 5m" }, /intervals go under every/],
  [{ every: "5m", timezone: "UTC" }, /has no time zone/],
  [{ every: "5m", jitter: "5m" }, /jitter must be shorter than the time between two slots, 5m/],
  [{ cron: "*/5 * * * *", jitter: "10m" }, /between two slots, 5m/],
  [{ cron: "0 1,3 * * *", jitter: "2h" }, /between two slots, 2h/],
  [{ cron: "0 3 * * *", jitter: 5 }, /jitter 5: it has no unit/],
  [{ at: "daily", timezone: "Europe/Belrin" }, /no such zone/],
  [{ at: "daily", timezone: 7 }, /no such zone/],
];

describe("G1 W4 D8 schedules", () => {
  for (const [input, text] of described) {
    test(`reads ${JSON.stringify(input)} as ${text}`, () => {
      const schedule = parseSchedule(input);
      assert.equal(describeSchedule(schedule, "Europe/Berlin"), text);
      assert.deepEqual(JSON.parse(JSON.stringify(schedule)), schedule);
    });
  }
  for (const [input, message] of refused) {
    test(`refuses ${JSON.stringify(input) ?? "undefined"}`, () => {
      assert.throws(
        () => parseSchedule(input),
        (error) =>
          error instanceof HoldfastError && error.code === "config-invalid" && message.test(error.message) && error.hint !== undefined,
      );
    });
  }

  test("W4 the names mean 02:00, Sunday 02:00 and the 1st 02:00", () => {
    const crons = ["daily", "weekly", "monthly"]
      .map((name) => parseSchedule(name))
      .map((schedule) => schedule.kind === "cron" && schedule.cron);
    assert.deepEqual(crons, ["0 2 * * *", "0 2 * * 0", "0 2 1 * *"]);
  });

  test("L2 BACKUP_INTERVAL is milliseconds", () => {
    assert.deepEqual(parseSchedule(3_600_000), { kind: "interval", everyMs: 3_600_000, jitterMs: 0 });
  });

  test("weekdays run over the end of the week, and 7 is Sunday", () => {
    for (const [text, days] of [
      ["FRI-MON", [0, 1, 5, 6]],
      ["5-7", [0, 5, 6]],
      ["0-7", [0, 1, 2, 3, 4, 5, 6]],
      ["1-7/2", [0, 1, 3, 5]],
      ["7", [0]],
    ] as const) {
      const schedule = parseSchedule(`0 3 * * ${text}`);
      assert.deepEqual(schedule.kind === "cron" && schedule.fields.daysOfWeek, days, text);
    }
  });

  test("what is accepted, node-cron accepts too, with the same values", () => {
    const atom = fc.oneof(fc.nat(61).map(String), fc.constantFrom("*", "jan", "FEB", "march", "MON", "sun", "L", "?", "5#1", "")); // prettier-ignore
    const item = fc.oneof(atom, fc.tuple(atom, atom).map((pair) => pair.join("-")), fc.tuple(atom, atom, fc.nat(70)).map(([a, b, c]) => `${a}-${b}/${c}`), fc.nat(70).map((n) => `*/${n}`)); // prettier-ignore
    const field = fc.array(item, { minLength: 1, maxLength: 2 }).map((items) => items.join(","));
    const star = fc.oneof(fc.constant("*"), field);
    let accepted = 0;
    fc.assert(
      fc.property(fc.tuple(star, star, star, star, star), (parts) => {
        let schedule;
        try {
          schedule = parseSchedule(parts.join(" "));
        } catch (error) {
          assert.ok(error instanceof HoldfastError && error.code === "config-invalid", String(error));
          return;
        }
        assert.ok(schedule.kind === "cron");
        const theirs = nodeCron.validateDetailed(schedule.cron);
        assert.ok(theirs.valid && theirs.fields !== undefined, `node-cron refuses ${schedule.cron}`);
        accepted += 1;
        const sorted = (values: readonly (string | number)[]): number[] => [...new Set(values.map(Number))].sort((a, b) => a - b);
        assert.deepEqual(
          [theirs.fields.minute, theirs.fields.hour, theirs.fields.dayOfMonth, theirs.fields.month, theirs.fields.dayOfWeek].map(sorted),
          [schedule.fields.minutes, schedule.fields.hours, schedule.fields.daysOfMonth, schedule.fields.months, schedule.fields.daysOfWeek],
          schedule.cron,
        );
      }),
      { numRuns: 5000 },
    );
    assert.ok(accepted > 100, `only ${accepted} were accepted`);
  });

  test("an unknown time zone is answered with a near one", () => {
    const hintFor = (name: string): string | undefined => {
      try {
        parseTimeZone(name);
        return undefined;
      } catch (error) {
        return error instanceof HoldfastError ? error.hint : undefined;
      }
    };
    assert.match(hintFor("Berlin") ?? "", /Did you mean Europe\/Berlin\?/);
    assert.match(hintFor("America/New York") ?? "", /Did you mean America\/New_York\?/);
    assert.match(hintFor("Nowhere/Atall") ?? "", /^Use an IANA name/);
    for (const zone of Intl.supportedValuesOf("timeZone")) assert.equal(parseTimeZone(zone), zone);
  });
});
