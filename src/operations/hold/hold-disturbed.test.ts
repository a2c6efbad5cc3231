import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { useDirectHooks } from "../../../test/support/direct-hooks.ts";
import { findGuards } from "../../../test/support/find-guards.ts";
import { makeHeldService } from "../../../test/support/held-service.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { createHoldId, writeHold } from "./hold-record.ts";
import { openHold } from "./open-hold.ts";

useDirectHooks();

const never = new AbortController().signal;
const isCode =
  (code: string, message = /./) =>
  (error: unknown) =>
    error instanceof HoldfastError && error.code === code && message.test(error.message);

test(
  "what cannot be asked when it is let go: it is let go, the copy is not used, and nobody waits for ever",
  { timeout: 30_000 },
  async (t) => {
    const service = makeHeldService(t);
    const hold = await openHold(service.order, service.ports, never);
    service.set("fail-ask", "there");
    const released = hold.release();
    released.catch(() => undefined);
    await waitUntil("it runs again", () => service.log().includes("started"));
    service.set("fail-ask", "gone");
    await assert.rejects(released, isCode("hook-failed", /cannot be asked/));
    await waitUntil("nothing is on record", () => service.records().length === 0);
  },
);

test("what was down before, and is started by somebody while it is copied: the copy is not used, and it is left running", async (t) => {
  const service = makeHeldService(t);
  service.set("up", "gone");
  const hold = await openHold(service.order, service.ports, never);
  assert.equal(hold.was, "stopped");
  service.set("up", "there");
  await assert.rejects(hold.release(), isCode("source-changed", /somebody else/));
  assert.deepEqual(service.log(), []);
  assert.equal(service.runs(), true);
});

for (const was of ["running", "stopped"] as const) {
  test(`a server (${was}) that somebody starts and stops again while it is copied is found where it tells since when it stands`, async (t) => {
    const service = makeHeldService(t);
    if (was === "stopped") service.set("up", "gone");
    const script = 'if test -e "$1/up"; then echo running; else echo exited; fi; cat "$1/since"';
    const ask = { command: ["/bin/sh", "-c", script, "sh", service.directory], timeoutMs: 20_000, answer: "container" } as const;
    const setSince = (text: string): void => writeFileSync(join(service.directory, "since"), text);
    const holdWhile = async (act: () => void): Promise<void> => {
      setSince("2026-01-01T00:00:00Z");
      const hold = await openHold({ ...service.order, ask }, service.ports, never);
      assert.equal(hold.was, was);
      act();
      await hold.release();
    };
    await holdWhile(() => undefined);
    await assert.rejects(
      holdWhile(() => setSince("2026-01-01T00:00:07Z")),
      isCode("source-changed", /somebody else/),
    );
    await holdWhile(() => setSince(""));
    assert.equal(service.runs(), was === "running");
  });
}

test("what was down before is its holder's alone: another one waits", async (t) => {
  const service = makeHeldService(t, { key: "unit:graph.service" });
  service.set("up", "gone");
  const first = await openHold(service.order, service.ports, never);
  const controller = new AbortController();
  let isSecond = false;
  const second = openHold(service.order, service.ports, controller.signal).then(async (hold) => {
    isSecond = true;
    await hold.release();
  });
  second.catch(() => undefined);
  await waitUntil("both are there", () => findGuards(service.holds).length === 2);
  assert.equal(isSecond, false);
  await first.release();
  await second;
  assert.deepEqual(service.log(), []);
});

test("the guard of what was down before is killed: nobody knows whether it stayed down, so the copy is not used", async (t) => {
  const service = makeHeldService(t);
  service.set("up", "gone");
  const hold = await openHold(service.order, service.ports, never);
  const [guard] = findGuards(service.holds);
  assert.ok(guard !== undefined);
  process.kill(guard, "SIGKILL");
  await waitUntil("the signal aborts", () => hold.signal.aborted);
  await assert.rejects(hold.release(), isCode("interrupted"));
  assert.deepEqual(service.log(), []);
  assert.equal(service.runs(), false);
});

test("F71 what an earlier guard left is let go by the next holder with the variables of its own hooks, those that ask included", async (t) => {
  const service = makeHeldService(t, { key: "unit:graph.service" });
  service.set("up", "gone");
  const ask = {
    ...service.ask,
    command: ["/bin/sh", "-c", 'test "$TOKEN" = hunter2 || exit 9; test -e "$1/up"', "sh", service.directory],
    env: { TOKEN: new Secret("hunter2") },
  };
  const { engage, release } = service.order;
  await writeHold(service.holds, {
    version: 1,
    id: createHoldId("unit:graph.service"),
    what: service.order.what,
    state: "held",
    manner: "stopped",
    sinceMs: 0,
    limitMs: 1,
    engage,
    release,
    ask,
  });
  const hold = await openHold({ ...service.order, ask }, service.ports, never);
  assert.equal(hold.was, "running");
  await hold.release();
  assert.deepEqual(service.log(), ["starting", "started", "stopping", "stopped", "starting", "started"]);
});

test("somebody ends the guard: the service goes on, and what is copied then is not used", async (t) => {
  const service = makeHeldService(t);
  const hold = await openHold(service.order, service.ports, never);
  const [guard] = findGuards(service.holds);
  assert.ok(guard !== undefined);
  process.kill(guard, "SIGTERM");
  await waitUntil("it runs again", () => service.log().includes("started"));
  await waitUntil("the signal aborts", () => hold.signal.aborted);
  await assert.rejects(hold.release(), isCode("source-changed"));
  assert.deepEqual(service.records(), []);
});

test("somebody ends the guard, and the copy is done before the service goes on: it is not used all the same", async (t) => {
  const service = makeHeldService(t);
  const hold = await openHold(service.order, service.ports, never);
  const [guard] = findGuards(service.holds);
  assert.ok(guard !== undefined);
  service.set("hold-start", "there");
  process.kill(guard, "SIGTERM");
  await waitUntil("it is being started", () => service.log().includes("starting"));
  const released = hold.release();
  released.catch(() => undefined);
  service.set("hold-start", "gone");
  await assert.rejects(released, isCode("source-changed"));
});
