import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { decideRetention, type RetentionInput } from "./decide-retention.ts";
import type { RetentionPolicy } from "./policy.ts";
import { clockToleranceMs, compareNewestFirst, isGood, isJudgeable, type RetentionBackup } from "./verdict.ts";

const numRuns = process.env["HOLDFAST_LONG"] === "1" ? 100_000 : 400;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const startMs = Date.UTC(2024, 1, 20);

const mostly = (usual: boolean) => fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(!usual) });
const facts = fc.record({
  status: fc.oneof({ weight: 6, arbitrary: fc.constant("ok" as const) }, fc.constantFrom("partial" as const, "failed" as const)),
  verified: mostly(true),
  suspect: mostly(false),
  damaged: mostly(false),
  pinned: mostly(false),
  inUse: mostly(false),
  owned: mostly(true),
  manifestReadable: mostly(true),
  holds: fc.oneof({ weight: 3, arbitrary: fc.constant(["db", "cache"]) }, fc.subarray(["db", "cache", "notes"])),
});
const step = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 36 }).map((hours) => hours * hourMs) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 60 }).map((days) => days * dayMs) },
  { weight: 1, arbitrary: fc.constantFrom(0, -2 * dayMs, -hourMs, 400 * dayMs, 3652 * dayMs) },
);

/** Steps of any size, clocks that jump either way; sequences rise by one, as a job's do. */
const histories = fc.array(fc.tuple(step, facts), { maxLength: 14 }).map((items) => {
  let createdAtMs = startMs;
  return items.map(([stepMs, state], index): RetentionBackup => {
    createdAtMs += stepMs;
    return { id: `b${index}`, name: `n${index}`, createdAtMs, sequence: index + 1, ...state };
  });
});
const count = fc.integer({ min: 1, max: 6 });
const countOrAll = fc.oneof({ weight: 5, arbitrary: count }, fc.constant("all" as const));
const policies: fc.Arbitrary<RetentionPolicy> = fc
  .record(
    {
      keepLast: count,
      keepWithinMs: fc.integer({ min: 1, max: 90 }).map((days) => days * dayMs),
      keepDaily: countOrAll,
      keepWeekly: countOrAll,
      keepMonthly: countOrAll,
      keepYearly: countOrAll,
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .filter((policy) => Object.keys(policy).length > 0);
const timezones = fc.constantFrom("UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu");

interface Case {
  readonly backups: readonly RetentionBackup[];
  readonly policy: RetentionPolicy;
  readonly timezone: string;
  readonly minimumGood: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  backups: histories,
  policy: policies,
  timezone: timezones,
  minimumGood: fc.integer({ min: 1, max: 3 }),
});

function decide(input: Case, change: Partial<RetentionInput> = {}) {
  const nowMs = input.backups.reduce((latestMs, { createdAtMs }) => Math.max(latestMs, createdAtMs), startMs) + 1;
  return decideRetention({ ...input, nowMs, weekStart: "sunday", ...change });
}

function listIds(input: Case, action: "keep" | "remove", change: Partial<RetentionInput> = {}): Set<string> {
  return new Set(
    decide(input, change)
      .filter((verdict) => verdict.action === action)
      .map(({ id }) => id),
  );
}

function without(input: Case, ids: ReadonlySet<string>): Case {
  return { ...input, backups: input.backups.filter(({ id }) => !ids.has(id)) };
}

/** Makes one rule more generous, or adds one. */
function loosen(policy: RetentionPolicy, rule: keyof RetentionPolicy, more: number): RetentionPolicy {
  const present = policy[rule];
  if (present === "all") return policy;
  return { ...policy, [rule]: (present ?? 0) + (rule === "keepWithinMs" ? more * dayMs : more) };
}

function check<T>(title: string, arbitrary: fc.Arbitrary<T>, predicate: (value: T) => void): void {
  test(title, () => fc.assert(fc.property(arbitrary, predicate), { numRuns }));
}

check("retention model (a) G3 F66 the newest good ones are never removed, by time and by sequence", cases, (input) => {
  const removed = listIds(input, "remove");
  const good = input.backups.filter(isGood);
  const byTime = good.toSorted(compareNewestFirst).slice(0, input.minimumGood);
  const bySequence = good.toSorted((left, right) => right.sequence - left.sequence).slice(0, input.minimumGood);
  for (const { id } of [...byTime, ...bySequence]) assert.ok(!removed.has(id), id);
});

check("retention model (a) G3 F66 of each datastore the newest good one that has its data is never removed", cases, (input) => {
  const removed = listIds(input, "remove");
  const good = input.backups.filter(isGood).toSorted(compareNewestFirst);
  for (const name of ["db", "cache", "notes"]) {
    const newest = good.find(({ holds }) => holds.includes(name));
    if (newest !== undefined) assert.ok(!removed.has(newest.id), `${name} of ${newest.id}`);
  }
});

check("retention model (a) D9 nothing is removed that a newer good one does not replace", cases, (input) => {
  const removed = listIds(input, "remove");
  for (const backup of input.backups.filter(({ id }) => removed.has(id))) {
    assert.ok(input.backups.some((other) => isGood(other) && !removed.has(other.id) && compareNewestFirst(other, backup) < 0));
  }
});

check(
  "retention model (b) D9 F66 pinned, in use, not ours, unreadable or dated in the future: never removed",
  fc.tuple(cases, fc.integer({ min: -3, max: 3 })),
  ([input, days]) => {
    const nowMs = (input.backups.at(-1)?.createdAtMs ?? startMs) + days * dayMs;
    const removed = listIds(input, "remove", { nowMs });
    for (const backup of input.backups.filter(({ id }) => removed.has(id))) {
      assert.ok(!backup.pinned && !backup.inUse && backup.owned && backup.manifestReadable && backup.createdAtMs <= nowMs);
    }
  },
);

check("retention model (c) G3 F66 a newer bad one never makes more go", fc.tuple(cases, step, facts), ([input, stepMs, state]) => {
  const newestMs = Math.max(startMs, ...input.backups.map(({ createdAtMs }) => createdAtMs));
  const sequence = input.backups.length + 1;
  const bad: RetentionBackup = { id: "bad", name: "bad", createdAtMs: newestMs + Math.abs(stepMs), sequence, ...state, verified: false };
  const before = listIds(input, "remove");
  const after = listIds({ ...input, backups: [...input.backups, bad] }, "remove");
  assert.ok(after.isSubsetOf(before));
});

const rules = fc.constantFrom("keepLast", "keepWithinMs", "keepDaily", "keepWeekly", "keepMonthly", "keepYearly");
check(
  "retention model (c) D9 a looser policy keeps all that the tighter one keeps",
  fc.tuple(cases, rules, count),
  ([input, rule, more]) => {
    const looser = { ...input, policy: loosen(input.policy, rule, more) };
    assert.ok(listIds(input, "keep").isSubsetOf(listIds(looser, "keep")));
    assert.ok(listIds(input, "keep").isSubsetOf(listIds(input, "keep", { minimumGood: input.minimumGood + more })));
  },
);

check("retention model (d) D9 once carried out, nothing more goes", cases, (input) => {
  assert.equal(listIds(without(input, listIds(input, "remove")), "remove").size, 0);
});

check("retention model (e) D9 the plan and the run are the same verdicts, and the input stays untouched", cases, (input) => {
  const before = JSON.stringify(input);
  assert.deepEqual(decide(input), decide(input));
  assert.equal(JSON.stringify(input), before);
});

check(
  "retention model (f) the order in which backups are listed does not matter",
  fc.tuple(cases, fc.array(fc.nat(), { minLength: 14, maxLength: 14 })),
  ([input, keys]) => {
    const shuffled = input.backups
      .map((backup, index) => ({ backup, key: keys[index] ?? 0 }))
      .toSorted((left, right) => left.key - right.key);
    assert.deepEqual(decide({ ...input, backups: shuffled.map(({ backup }) => backup) }), decide(input));
  },
);

check(
  "retention model (g) F64 a clock that went back removes nothing",
  fc.tuple(cases, fc.integer({ min: 1, max: 3000 * dayMs })),
  ([input, backMs]) => {
    const dates = input.backups.filter(isJudgeable).map(({ createdAtMs }) => createdAtMs);
    if (dates.length === 0) return;
    assert.equal(listIds(input, "remove", { nowMs: Math.max(...dates) - clockToleranceMs - backMs }).size, 0);
  },
);

check("retention model (g) F64 a clock that runs ahead removes nothing by itself", fc.tuple(cases, fc.nat(5000)), ([input, days]) => {
  const nowMs = input.backups.reduce((latestMs, { createdAtMs }) => Math.max(latestMs, createdAtMs), startMs) + 1 + days * dayMs;
  assert.deepEqual(listIds(input, "remove", { nowMs }), listIds(input, "remove"));
});

check(
  "retention model (h) a crash after any part of the removals: the next run ends in the same",
  fc.tuple(cases, fc.infiniteStream(fc.boolean())),
  ([input, random]) => {
    const removed = listIds(input, "remove");
    const done = new Set([...removed].filter(() => random.next().value === true));
    assert.deepEqual(listIds(without(input, done), "remove"), removed.difference(done));
    assert.deepEqual(listIds(without(input, done), "keep"), listIds(input, "keep"));
  },
);

check("retention model D9 frozen, or without a policy, nothing goes; every verdict has a reason", cases, (input) => {
  assert.equal(listIds(input, "remove", { frozen: { reason: "a test" } }).size, 0);
  assert.equal(listIds(input, "remove", { policy: undefined }).size, 0);
  const verdicts = decide(input);
  assert.equal(verdicts.length, input.backups.length);
  for (const { reasons } of verdicts) assert.ok(reasons.length > 0 && reasons.every((reason) => reason !== ""));
});

/** A life of a job: after each backup retention runs under whatever clock there is. */
const lives = fc.tuple(cases, fc.array(fc.constantFrom(0, 1, -2 * dayMs, 3652 * dayMs, -3652 * dayMs), { minLength: 14, maxLength: 14 }));
check("retention model F64 G3 through any life of a job under any clocks the newest good ones are there", lives, ([input, errors]) => {
  let stored: RetentionBackup[] = [];
  for (const [index, backup] of input.backups.entries()) {
    stored = [...stored, { ...backup, pinned: false, inUse: false }];
    const good = stored.filter(isGood).toSorted(compareNewestFirst).slice(0, input.minimumGood);
    const removed = listIds({ ...input, backups: stored }, "remove", { nowMs: backup.createdAtMs + (errors[index] ?? 0) });
    stored = stored.filter(({ id }) => !removed.has(id));
    for (const kept of good) assert.ok(stored.includes(kept));
  }
});
