import assert from "node:assert/strict";
import { test } from "node:test";
import { assertGolden } from "../../test/support/golden.ts";
import { decideRetention, type RetentionInput } from "./decide-retention.ts";
import { parseRetention } from "./policy.ts";
import type { RetentionBackup, Verdict } from "./verdict.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

function createBackup(createdAt: string | number, sequence: number, facts: Partial<RetentionBackup> = {}): RetentionBackup {
  const createdAtMs = typeof createdAt === "number" ? createdAt : Date.parse(createdAt);
  const name = new Date(createdAtMs).toISOString().slice(0, 16);
  const state = { status: "ok", verified: true, suspect: false, damaged: false, pinned: false, inUse: false } as const;
  return { id: `b${sequence}`, name, createdAtMs, sequence, ...state, owned: true, manifestReadable: true, holds: ["db"], ...facts };
}

/** One good backup every `stepMs`, the last at `end`. */
function createHistory(end: string, count: number, stepMs: number): RetentionBackup[] {
  return Array.from({ length: count }, (_, index) => createBackup(Date.parse(end) - (count - 1 - index) * stepMs, index + 1));
}

function decide(policy: unknown, backups: readonly RetentionBackup[], change: Partial<RetentionInput> = {}): Verdict[] {
  const newestMs = Math.max(...backups.map(({ createdAtMs }) => createdAtMs));
  const parsed = policy === undefined ? undefined : parseRetention(policy);
  return decideRetention({ policy: parsed, backups, nowMs: newestMs + hourMs, timezone: "UTC", weekStart: "sunday", ...change });
}

function listKept(verdicts: readonly Verdict[]): string[] {
  return verdicts.filter(({ action }) => action === "keep").map(({ id }) => id);
}

function assertVerdicts(name: string, verdicts: readonly Verdict[]): void {
  const lines = verdicts.map(({ name, id, action, reasons }) => JSON.stringify({ name, id, action, reasons }));
  assertGolden(`retention/${name}.json`, `[\n  ${lines.join(",\n  ")}\n]\n`);
}

test("D9 a job without retention keeps everything, and says why", () => {
  const verdicts = decide(undefined, createHistory("2026-11-20T03:00Z", 4, 400 * dayMs));
  assert.deepEqual(listKept(verdicts), ["b4", "b3", "b2", "b1"]);
  assert.deepEqual(verdicts[0]?.reasons, ["the job has no retention: everything is kept"]);
});

test("D9 older than 30 days goes, a pinned one never does", () => {
  const backups = createHistory("2026-11-20T03:00Z", 40, dayMs).map((backup) =>
    backup.id === "b3" ? { ...backup, pinned: true, pinNote: "before the upgrade" } : backup,
  );
  assertVerdicts("d9-30-days", decide({ keepWithin: "30d" }, backups));
});

test("P3 L6 G3 the 5 newest are kept, the rest goes", () => {
  assertVerdicts("p3-last-5", decide({ keepLast: 5 }, createHistory("2026-11-20T03:00Z", 8, 6 * hourMs)));
});

test("W10 several a day with 14 days: what is younger stays, by the exact age", () => {
  const verdicts = decide({ keepWithin: "14d" }, createHistory("2026-11-20T03:00Z", 100, 6 * hourMs));
  assert.equal(listKept(verdicts).length, 14 * 4);
});

test("W10 daily with 7 days", () => {
  assert.equal(listKept(decide({ keepWithin: "7d" }, createHistory("2026-11-20T03:00Z", 30, dayMs))).length, 7);
});

test("W10 D9 a job that stopped never ages itself away, however late it is", () => {
  const backups = createHistory("2026-11-20T03:00Z", 7, dayMs);
  const lateMs = Date.parse("2029-11-20T03:00Z");
  assert.equal(listKept(decide({ keepWithin: "7d" }, backups, { nowMs: lateMs })).length, 7);
});

test("A9 7 daily, 4 weekly from Sunday, 12 monthly, yearly for ever: the first of each", () => {
  const backups = createHistory("2026-11-20T15:00Z", 3 * 800, 8 * hourMs);
  const verdicts = decide({ keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: "all" }, backups);
  const kept = verdicts.filter(({ action }) => action === "keep");
  assertVerdicts("a9-grandfather", kept);
  assertVerdicts("a9-grandfather-removed", verdicts.filter(({ action }) => action === "remove").slice(0, 5));
});

test("A9 days, weeks and years begin in the job's zone, across its clock changes", () => {
  const backups = [
    createBackup("2026-10-24T22:30Z", 1), // Sunday 00:30 in Berlin, still summer time
    createBackup("2026-10-25T00:30Z", 2), // 02:30, the first time
    createBackup("2026-10-25T01:30Z", 3), // 02:30, the second time
    createBackup("2026-10-25T22:59Z", 4), // 23:59, the 25th hour
    createBackup("2026-10-25T23:00Z", 5), // Monday 00:00
    createBackup("2026-12-31T22:59Z", 6), // Thursday, the old year
    createBackup("2026-12-31T23:00Z", 7), // Friday, the new year
  ];
  const policy = { keepDaily: 30, keepWeekly: 10, keepMonthly: 12, keepYearly: 2 };
  assertVerdicts("a9-berlin", decide(policy, backups, { timezone: "Europe/Berlin" }));
  assertVerdicts("a9-honolulu", decide(policy, backups, { timezone: "Pacific/Honolulu" }));
});

test("F66 G3 failed, partial, unverified, suspect and damaged ones do not count and displace nothing", () => {
  const backups = [
    createBackup("2026-11-01T03:00Z", 1),
    createBackup("2026-11-02T03:00Z", 2, { verified: false }),
    createBackup("2026-11-03T03:00Z", 3),
    createBackup("2026-11-04T03:00Z", 4, { damaged: true }),
    createBackup("2026-11-05T03:00Z", 5, { status: "failed", verified: false }),
    createBackup("2026-11-06T03:00Z", 6, { suspect: true }),
    createBackup("2026-11-07T03:00Z", 7),
    createBackup("2026-11-08T03:00Z", 8, { status: "partial" }),
    createBackup("2026-11-09T03:00Z", 9, { verified: false }),
  ];
  assertVerdicts("f66-bad-ones-last-2", decide({ keepLast: 2 }, backups));
  assertVerdicts("f66-bad-ones-within", decide({ keepWithin: "4d" }, backups));
  assertVerdicts("f66-bad-ones-daily", decide({ keepDaily: 2 }, backups));
});

test("F66 as long as nothing is verified, nothing goes", () => {
  const backups = createHistory("2026-11-20T03:00Z", 9, dayMs).map((backup) => ({ ...backup, verified: false }));
  assert.equal(listKept(decide({ keepLast: 1 }, backups)).length, 9);
});

test("G3 the newest verified one stays behind any number of newer bad ones", () => {
  const good = createBackup("2026-01-01T03:00Z", 1);
  const bad = createHistory("2026-11-20T03:00Z", 20, dayMs).map((backup) => ({
    ...backup,
    id: `p${backup.id}`,
    status: "partial" as const,
  }));
  const kept = decide({ keepLast: 1, keepWithin: "1d" }, [good, ...bad]).find(({ id }) => id === "b1");
  assert.deepEqual(kept?.reasons, ["newest verified backup", "last 1 of 1", "younger than 1d"]);
});

test("G3 the floor can be higher than one", () => {
  const verdicts = decide({ keepLast: 1 }, createHistory("2026-11-20T03:00Z", 6, dayMs), { minimumGood: 3 });
  assert.deepEqual(listKept(verdicts), ["b6", "b5", "b4"]);
  for (const minimumGood of [0, -5, Number.NaN]) {
    const only = [createBackup("2026-11-20T03:00Z", 1)];
    assert.deepEqual(decide({ keepDaily: 1 }, only, { minimumGood })[0]?.reasons, ["newest verified backup", "daily 2026-11-20"]);
  }
});

test("F66 protected ones: pinned, in use, not ours, unreadable, without a usable date", () => {
  const old = (sequence: number, facts: Partial<RetentionBackup>) => createBackup(`2020-01-0${sequence}T03:00Z`, sequence, facts);
  const backups = [
    old(1, { pinned: true, pinNote: "keep me" }),
    old(2, { inUse: true, verified: false }),
    old(3, { owned: false }),
    old(4, { manifestReadable: false, createdAtMs: Number.NaN }),
    old(5, { createdAtMs: Number.NaN }),
    old(6, { createdAtMs: 9e15 }),
    old(7, { pinned: true, owned: false, manifestReadable: false }),
    old(8, {}),
    old(9, {}),
    createBackup("2026-11-20T03:00Z", 10),
  ];
  assertVerdicts("f66-protected", decide({ keepLast: 1 }, backups, { nowMs: Date.parse("2026-11-20T04:00Z") }));
});

test("F66 what is not ours or unreadable fills no count, and its being suspect or in the future freezes nothing", () => {
  const own = [createBackup("2026-11-18T03:00Z", 1), createBackup("2026-11-17T03:00Z", 2), createBackup("2026-11-16T03:00Z", 3)];
  const foreign = createBackup("2030-11-19T03:00Z", 1, { id: "foreign", owned: false, suspect: true });
  const unreadable = createBackup("2026-11-19T03:00Z", 4, { id: "unreadable", manifestReadable: false });
  const verdicts = decide({ keepLast: 1 }, [...own, foreign, unreadable], { nowMs: Date.parse("2026-11-20T03:00Z") });
  assert.deepEqual(listKept(verdicts), ["foreign", "unreadable", "b1", "b3"]);
});

test("F66 equal times are ordered by sequence, then id, and dates that cannot be used disturb no order", () => {
  const at = "2026-11-18T03:00Z";
  const backups = [
    createBackup(at, 2),
    createBackup(at, 3),
    createBackup(at, 1, { id: "y" }),
    createBackup(at, 1, { id: "x" }),
    createBackup(0, 8, { createdAtMs: Number.NaN, name: "odd" }),
    createBackup("2026-11-19T03:00Z", 4),
    createBackup(0, 9, { createdAtMs: Number.NaN, name: "odd" }),
  ];
  const expected = ["b4", "b3", "b2", "y", "x", "b9", "b8"];
  for (let turn = 0; turn < backups.length; turn += 1) {
    const turned = [...backups.slice(turn), ...backups.slice(0, turn)];
    const verdicts = decide({ keepDaily: 2 }, turned, { nowMs: Date.parse("2026-11-20T03:00Z") });
    assert.deepEqual(
      verdicts.map(({ id }) => id),
      expected,
    );
    assert.deepEqual(listKept(verdicts), ["b4", "x", "b9", "b8"]);
  }
});

test("F66 another job's backup of the same time fills no count", () => {
  const backups = [createBackup("2026-11-18T03:00Z", 1), createBackup("2026-11-19T03:00Z", 1, { id: "other", owned: false })];
  assert.deepEqual(listKept(decide({ keepLast: 1 }, backups)), ["other", "b1"]);
});

test("D9 while frozen nothing goes, and the plan shows what would", () => {
  const verdicts = decide({ keepLast: 2 }, createHistory("2026-11-20T03:00Z", 4, dayMs), { frozen: { reason: "run r7 is suspect" } });
  assertVerdicts("frozen", verdicts);
});

test("F66 a suspect backup newer than the newest good one freezes retention by itself", () => {
  const backups = createHistory("2026-11-20T03:00Z", 6, dayMs).map((backup) => {
    if (backup.id === "b5") return { ...backup, suspect: true };
    return backup.id === "b6" ? { ...backup, status: "partial" as const } : backup;
  });
  assertVerdicts("f66-suspect", decide({ keepLast: 1 }, backups));
  const next = createBackup("2026-11-21T03:00Z", 7);
  assert.deepEqual(listKept(decide({ keepLast: 1 }, [...backups, next])), ["b7"]);
});

test("F64 the clock goes back by two days: nothing goes", () => {
  const backups = createHistory("2026-11-20T03:00Z", 9, dayMs);
  assertVerdicts("f64-clock-back", decide({ keepLast: 3 }, backups, { nowMs: Date.parse("2026-11-18T02:00Z") }));
});

test("F64 five minutes of skew are borne, more are not", () => {
  const backups = createHistory("2026-11-20T03:00Z", 3, dayMs);
  const newestMs = Date.parse("2026-11-20T03:00Z");
  assert.deepEqual(listKept(decide({ keepLast: 1 }, backups, { nowMs: newestMs - 300_000 })), ["b3"]);
  assert.deepEqual(listKept(decide({ keepLast: 1 }, backups, { nowMs: newestMs - 300_001 })), ["b3", "b2", "b1"]);
  assert.deepEqual(listKept(decide({ keepLast: 1 }, backups, { nowMs: Number.NaN })), ["b3", "b2", "b1"]);
});

test("F64 the clock ran ten years ahead for some runs: no mass expiry, then or after it was set right", () => {
  const before = createHistory("2026-11-20T03:00Z", 20, dayMs);
  const ahead = createHistory("2036-11-20T03:00Z", 3, dayMs).map((backup, index) => ({ ...backup, id: `x${index}`, sequence: 21 + index }));
  assertVerdicts("f64-ten-years-ahead", decide({ keepWithin: "10d" }, [...before, ...ahead]));
  const after = decide({ keepWithin: "10d" }, [...before, ...ahead], { nowMs: Date.parse("2026-11-23T03:00Z") });
  assert.equal(listKept(after).length, 23);
});

test("F64 a clock that was set back leaves the newest by sequence as well as the newest by time", () => {
  const backups = [createBackup("2026-11-20T12:00Z", 10), createBackup("2026-11-20T11:30Z", 11), createBackup("2026-11-19T11:30Z", 9)];
  assert.deepEqual(
    decide({ keepLast: 1 }, backups).map(({ id, action, reasons }) => [id, action, reasons[0]]),
    [
      ["b10", "keep", "newest verified backup"],
      ["b11", "keep", "newest verified backup by sequence"],
      ["b9", "remove", "no rule keeps it (last 1)"],
    ],
  );
});

test("G3 F66 F50 a datastore that is absent from the newer good backups: the newest with its data stays, whatever the policy", () => {
  const holds = [["cache", "notes"], ["cache", "notes"], ["notes"], ["notes"], ["notes"]];
  const backups = createHistory("2026-11-20T03:00Z", 5, dayMs).map((backup, index) => ({ ...backup, holds: holds[index] ?? [] }));
  const verdicts = decide({ keepLast: 2 }, backups);
  assert.deepEqual(listKept(verdicts), ["b5", "b4", "b2"]);
  assert.deepEqual(verdicts[3]?.reasons, ["newest verified backup with cache"]);
  assert.deepEqual(
    listKept(decide({ keepLast: 1 }, [...backups.slice(0, 4), createBackup("2026-11-20T03:00Z", 5, { holds: ["cache"] })])),
    ["b5", "b4"],
  );
});

test("G3 F66 F50 what was only ever in partial backups: the newest of these stays, one with all of it rather than a part", () => {
  const facts: readonly Partial<RetentionBackup>[] = [
    { status: "partial", holds: ["cache"] },
    { status: "partial", holds: ["notes"], holdsPart: ["cache"] },
    { status: "partial", holds: ["notes"], holdsPart: ["logs"] },
    { holds: ["notes"] },
    { holds: ["notes"] },
  ];
  const history = createHistory("2026-11-20T03:00Z", 5, dayMs);
  const backups = history.map((backup, index) => ({ ...backup, ...facts[index] }));
  assert.deepEqual(listKept(decide({ keepLast: 1 }, backups)), ["b5", "b3", "b1"]);
});

test("D9 no backups, no verdicts", () => {
  assert.deepEqual(decideRetention({ policy: { keepLast: 1 }, backups: [], nowMs: 0, timezone: "UTC", weekStart: "sunday" }), []);
});
