import assert from "node:assert/strict";
import { test } from "node:test";
import { useDirectHooks } from "../../../test/support/direct-hooks.ts";
import { findGuards } from "../../../test/support/find-guards.ts";
import { makeHeldService } from "../../../test/support/held-service.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { createHoldId, lockHold, writeHold } from "./hold-record.ts";
import { openHold } from "./open-hold.ts";
import { takeOverHolds } from "./take-over-holds.ts";

useDirectHooks();

const never = new AbortController().signal;
const key = "unit:graph.service";
const id = createHoldId(key);

test("a guard whose service does not start leaves it to a restore: nothing starts it while its data is replaced", async (t) => {
  const service = makeHeldService(t, { key });
  const hold = await openHold(service.order, service.ports, never);
  service.set("fail-start", "there");
  await assert.rejects(hold.release());
  const [guard] = findGuards(service.holds);
  assert.ok(guard !== undefined);
  {
    using _taken = await takeOverHolds(service.holds, [id], service.ports, never);
    service.set("fail-start", "gone");
    assert.equal(await lockHold(service.holds, id, never), undefined);
    await waitUntil("the guard is gone", () => !findGuards(service.holds).includes(guard));
    assert.deepEqual(service.records(), []);
    assert.equal(service.runs(), false);
  }
  using lock = await lockHold(service.holds, id, never);
  assert.ok(lock !== undefined);
});

test("a guard that is about to let its service go is waited for, and its record left alone", async (t) => {
  const service = makeHeldService(t, { key });
  const hold = await openHold(service.order, service.ports, never);
  const taking = takeOverHolds(service.holds, [id], service.ports, never);
  assert.deepEqual(service.records(), [id]);
  await hold.release();
  using _taken = await taking;
  assert.equal(service.runs(), true);
});

test("what a guard that is gone has left is nobody's but the restore's", async (t) => {
  const service = makeHeldService(t, { key });
  const { engage, release } = service.order;
  await writeHold(service.holds, {
    version: 1,
    id,
    what: service.order.what,
    state: "held",
    manner: "stopped",
    sinceMs: 0,
    limitMs: 1,
    engage,
    release,
  });
  using _taken = await takeOverHolds(service.holds, [id], service.ports, never);
  assert.deepEqual(service.records(), []);
  assert.deepEqual(service.log(), []);
});
