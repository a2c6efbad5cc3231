import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { type ConcurrencyKey, keysConflict } from "../base/concurrency-key.ts";
import { type Candidate, chooseNext, findBlocker, raisePriority, type Situation } from "./choose-next.ts";
import type { Priority } from "./contract.ts";

const numRuns = process.env["HOLDFAST_LONG"] === "1" ? 100_000 : 2_000;
const nowMs = 1_000_000;
const order: readonly Priority[] = ["maintenance", "scheduled", "interactive"];

const keyPool: readonly ConcurrencyKey[] = [
  { id: "a", paths: ["/srv"] },
  { id: "b", paths: ["/srv/app.db"] },
  { id: "c", paths: ["/srv2"] },
  { id: "d", paths: [] },
  { id: "e", paths: ["/var/x", "/srv2/y"] },
  { id: "f", paths: ["/var"] },
];
const keys = fc.subarray([...keyPool], { minLength: 0, maxLength: 3 });
const candidates = fc
  .array(
    fc.record({
      keys,
      priority: fc.constantFrom(...order),
      job: fc.constantFrom("nightly", "weekly"),
      notBeforeMs: fc.constantFrom(0, nowMs - 1, nowMs, nowMs + 1),
      arrival: fc.nat(),
    }),
    { maxLength: 8 },
  )
  .map((list) => list.map((task, place): Candidate => ({ ...task, id: `t${place}`, sequence: place + 1, notBeforeSetAtMs: 0 })));
const situations: fc.Arbitrary<Situation<Candidate, Pick<Candidate, "keys">>> = fc.record({
  waiting: candidates,
  active: fc.array(fc.record({ keys }), { maxLength: 3 }),
  pauses: fc.subarray([{ job: "nightly" }]),
  nowMs: fc.constant(nowMs),
  concurrency: fc.integer({ min: 1, max: 4 }),
});

const overlap = (one: Pick<Candidate, "keys">, other: Pick<Candidate, "keys">) =>
  one.keys.some((key) => other.keys.some((rival) => keysConflict(key, rival)));
const isAhead = (one: Candidate, other: Candidate) =>
  order.indexOf(one.priority) - order.indexOf(other.priority) || other.sequence - one.sequence;
const isEligible = (task: Candidate, situation: Situation<Candidate, Pick<Candidate, "keys">>) =>
  task.notBeforeMs <= nowMs && !situation.pauses.some(({ job }) => job === task.job);

test("prop-P3 G2 what is chosen is free, eligible, first in line, and overtakes nobody who wants the same", () => {
  fc.assert(
    fc.property(situations, (situation) => {
      const chosen = chooseNext(situation);
      if (chosen === undefined) {
        // Nobody is left waiting without a reason.
        for (const task of situation.waiting) assert.notEqual(findBlocker(task, situation), undefined);
        return;
      }
      assert.ok(situation.active.length < situation.concurrency);
      assert.ok(isEligible(chosen, situation));
      assert.ok(!situation.active.some((active) => overlap(active, chosen)));
      for (const other of situation.waiting.filter((task) => isEligible(task, situation) && isAhead(task, chosen) > 0)) {
        assert.ok(!overlap(other, chosen), "a task ahead of it reserves its keys");
        assert.notEqual(findBlocker(other, situation), undefined, "the first in line that can start is chosen");
      }
    }),
    { numRuns },
  );
});

test("prop-P3 the reason for waiting agrees with the choice", () => {
  fc.assert(
    fc.property(situations, (situation) => {
      const claimable = situation.waiting.filter((task) => findBlocker(task, situation) === undefined);
      const chosen = chooseNext(situation);
      assert.equal(chosen !== undefined, claimable.length > 0);
      assert.ok(chosen === undefined || claimable.includes(chosen));
    }),
    { numRuns },
  );
});

test("prop-P3 no starvation: a task at the head of the line starts as soon as what holds its keys has ended, whatever arrives behind it", () => {
  fc.assert(
    fc.property(candidates, keys, (rivals, wanted) => {
      const patient: Candidate = { id: "patient", sequence: 0, priority: "interactive", keys: wanted, notBeforeMs: 0, notBeforeSetAtMs: 0 };
      let active: readonly Candidate[] = rivals.slice(0, 2);
      let waiting: readonly Candidate[] = [patient, ...rivals.slice(2)];
      for (let step = 0; step <= 2 * (rivals.length + 1); step += 1) {
        const next = chooseNext({ waiting, active, pauses: [], nowMs, concurrency: 4 });
        if (next === patient) return;
        if (next === undefined) {
          active = active.slice(1);
        } else {
          assert.ok(!overlap(next, patient));
          waiting = waiting.filter((task) => task !== next);
          active = [...active, next];
        }
      }
      assert.fail("never started");
    }),
    { numRuns },
  );
});

test("a task without keys needs a slot only", () => {
  const task: Candidate = { id: "t", sequence: 1, priority: "maintenance", keys: [], notBeforeMs: 0, notBeforeSetAtMs: 0 };
  const situation = { waiting: [task], active: [{ keys: [...keyPool] }], pauses: [], nowMs, concurrency: 2 };
  assert.equal(chooseNext(situation), task);
  assert.deepEqual(findBlocker(task, { ...situation, concurrency: 1 }), { reason: "slots" });
});

test("a priority is raised, never lowered", () => {
  assert.equal(raisePriority("maintenance", "interactive"), "interactive");
  assert.equal(raisePriority("interactive", "scheduled"), "interactive");
});
