import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findGuards } from "../../../test/support/find-guards.ts";
import { makeHeldService } from "../../../test/support/held-service.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { holdPath, readHold } from "./hold-record.ts";
import { openHold } from "./open-hold.ts";

const before_ = process.env["HOLDFAST_HOOKS"];
before(() => {
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (before_ === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = before_;
});

const never = new AbortController().signal;
const once = ["stopping", "stopped", "starting", "started"];
const isCode =
  (code: string, message = /./) =>
  (error: unknown) =>
    error instanceof HoldfastError && error.code === code && message.test(error.message);

test("a hold: on record while it lasts, only for root, let go once however often it is asked for", async (t) => {
  const service = makeHeldService(t);
  const hold = await openHold(service.order, service.ports, never);
  assert.equal(hold.was, "running");
  assert.equal(service.runs(), false);
  const [id = ""] = service.records();
  assert.equal(statSync(holdPath(service.holds, id)).mode & 0o777, 0o600);
  assert.equal(readHold(service.holds, id)?.state, "held");
  const [one, other] = await Promise.all([hold.release(), hold.release()]);
  assert.equal(one, other);
  assert.ok(one.heldMs > 0);
  await hold[Symbol.asyncDispose]();
  assert.deepEqual(service.log(), once);
  assert.deepEqual(service.records(), []);
  assert.equal(hold.signal.aborted, false);
  assert.deepEqual(service.ports.lines, []);
});

test("what does not run stays as it is: no hook is run, nothing is on record, nothing is started afterwards", async (t) => {
  const service = makeHeldService(t);
  service.set("up", "gone");
  const hold = await openHold(service.order, service.ports, never);
  assert.equal(hold.was, "stopped");
  assert.deepEqual(service.records(), []);
  assert.deepEqual(await hold.release(), { heldMs: 0 });
  assert.deepEqual(service.log(), []);
  assert.equal(service.runs(), false);
});

test("what cannot be asked is not taken for stopped: nothing is touched", async (t) => {
  const service = makeHeldService(t);
  service.set("fail-ask", "there");
  await assert.rejects(openHold(service.order, service.ports, never), isCode("hook-failed", /cannot be asked/));
  assert.deepEqual(service.log(), []);
});

test("a stop that fails: what was stopped before it goes on again, and the error says why", async (t) => {
  const service = makeHeldService(t);
  const order = {
    ...service.order,
    engage: [...service.order.engage, { command: ["/bin/sh", "-c", "echo no >&2; exit 4"], timeoutMs: 5000 }],
  };
  await assert.rejects(openHold(order, service.ports, never), isCode("hook-failed", /exited with 4: no/));
  assert.deepEqual(service.log(), once);
  assert.deepEqual(service.records(), []);
});

test("a stop that succeeds and stops nothing is a failure, not a copy of what runs", async (t) => {
  const service = makeHeldService(t, { engage: [{ command: ["/bin/true"], timeoutMs: 5000 }] });
  await assert.rejects(openHold(service.order, service.ports, never), isCode("hook-failed", /stop commands succeeded, but it is running/));
  assert.equal(service.runs(), true);
  assert.deepEqual(service.records(), []);
});

test("its time is over: it goes on by itself, the signal aborts, the release is an error", async (t) => {
  const service = makeHeldService(t, { limitMs: 600 });
  const hold = await openHold(service.order, service.ports, never);
  await waitUntil("the signal aborts", () => hold.signal.aborted);
  assert.ok(isCode("hold-exceeded")(hold.signal.reason));
  await waitUntil("it runs again", () => service.log().includes("started"));
  await assert.rejects(hold.release(), isCode("hold-exceeded", /what was copied meanwhile is not used/));
  assert.deepEqual(service.log(), once);
  assert.deepEqual(service.records(), []);
});

test("a stop that takes longer than it may: cut off, let go, an error", async (t) => {
  const service = makeHeldService(t, { limitMs: 400 });
  service.set("hold-stop", "there");
  await assert.rejects(openHold(service.order, service.ports, never), isCode("hold-exceeded"));
  assert.equal(service.runs(), true);
  assert.deepEqual(service.records(), []);
});

test("an abort lets it go at once, without waiting for whoever holds it", async (t) => {
  const service = makeHeldService(t);
  const controller = new AbortController();
  const hold = await openHold(service.order, service.ports, controller.signal);
  controller.abort(new HoldfastError("cancelled", "The run was cancelled"));
  assert.equal(hold.signal.aborted, true);
  await waitUntil("it runs again", () => service.log().includes("started"));
  await hold[Symbol.asyncDispose]();
  assert.deepEqual(service.log(), once);
  assert.deepEqual(service.records(), []);
});

test("an abort while it is being stopped: the stop comes to its end, so that no start is overtaken by it", async (t) => {
  const service = makeHeldService(t);
  const controller = new AbortController();
  service.set("hold-stop", "there");
  const opening = openHold(service.order, service.ports, controller.signal);
  opening.catch(() => undefined);
  await waitUntil("it is being stopped", () => service.log().includes("stopping"));
  controller.abort(new HoldfastError("cancelled", "The run was cancelled"));
  service.set("hold-stop", "gone");
  await assert.rejects(opening, isCode("cancelled"));
  assert.deepEqual(service.log(), once);
  assert.equal(service.runs(), true);
  assert.deepEqual(service.records(), []);
});

test("a start that fails is an error of the release, stays on record with the reason, and is tried until it succeeds", async (t) => {
  const service = makeHeldService(t);
  const hold = await openHold(service.order, service.ports, never);
  service.set("fail-start", "there");
  await assert.rejects(hold.release(), isCode("hook-failed", /exited with 7/));
  const [id = ""] = service.records();
  assert.match(readHold(service.holds, id)?.problem ?? "", /exited with 7/);
  service.set("fail-start", "gone");
  await waitUntil("the guard has let it go", () => service.records().length === 0);
  assert.equal(service.runs(), true);
});

test("every release hook is run whatever the others do", async (t) => {
  const service = makeHeldService(t);
  const release = [{ command: ["/bin/false"], timeoutMs: 5000 }, ...service.order.release];
  const hold = await openHold({ ...service.order, release }, service.ports, never);
  await assert.rejects(hold.release(), isCode("hook-failed"));
  assert.equal(service.runs(), true);
  process.kill(findGuard(service.order.directory), "SIGKILL");
});

test("a start that succeeds and starts nothing is an error", async (t) => {
  const service = makeHeldService(t, { release: [{ command: ["/bin/true"], timeoutMs: 5000 }] });
  const hold = await openHold(service.order, service.ports, never);
  await assert.rejects(hold.release(), isCode("hook-failed", /start commands succeeded, but it is stopped/));
  service.set("up", "there");
  await waitUntil("the guard has seen that it runs", () => service.records().length === 0);
});

test("somebody else starts it meanwhile: what was copied is not used", async (t) => {
  const service = makeHeldService(t);
  const hold = await openHold(service.order, service.ports, never);
  service.set("up", "there");
  await assert.rejects(hold.release(), isCode("source-changed", /somebody else/));
  assert.deepEqual(service.records(), []);
});

test("of two holders of one service the second waits for the first: it never stands still for two at once", async (t) => {
  const service = makeHeldService(t, { key: "unit:graph.service" });
  const first = await openHold(service.order, service.ports, never);
  const second = openHold({ ...service.order, what: '"plugins" is stopped' }, service.ports, never);
  await first.release();
  await (await second).release();
  assert.deepEqual(service.log(), [...once, ...once]);
  assert.deepEqual(service.records(), []);
});

test("whoever waits for another holder and is cancelled touches nothing", async (t) => {
  const service = makeHeldService(t, { key: "unit:graph.service" });
  await using first = await openHold(service.order, service.ports, never);
  const controller = new AbortController();
  const second = openHold(service.order, service.ports, controller.signal);
  second.catch(() => undefined);
  controller.abort(new HoldfastError("cancelled", "The run was cancelled"));
  await assert.rejects(second, isCode("cancelled"));
  assert.equal(service.runs(), false);
  await first.release();
  assert.deepEqual(service.log(), once);
});

test("F71 secrets of hooks reach the hooks, and stand neither in the record nor in the guard's arguments or environment", async (t) => {
  const service = makeHeldService(t);
  const [engage] = service.order.engage;
  assert.ok(engage !== undefined);
  const noted = join(service.directory, "noted");
  const command = ["/bin/sh", "-c", `printf %s "$TOKEN" > ${noted}; rm "$1/up"`, "sh", service.directory];
  const order = { ...service.order, engage: [{ ...engage, command, env: { TOKEN: new Secret("hunter2-hunter2") } }] };
  const hold = await openHold(order, service.ports, never);
  assert.equal(readFileSync(noted, "utf8"), "hunter2-hunter2");
  const guard = findGuard(service.holds);
  const [id = ""] = service.records();
  for (const path of [holdPath(service.holds, id), `/proc/${guard}/cmdline`, `/proc/${guard}/environ`])
    assert.doesNotMatch(readFileSync(path, "latin1"), /hunter2/);
  await hold.release();
});

/** Who has the lock of the one record. */
function findGuard(directory: string): number {
  const [pid] = findGuards(directory);
  assert.ok(pid !== undefined);
  return pid;
}
