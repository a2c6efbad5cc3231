import assert from "node:assert/strict";
import { test } from "node:test";
import { openControlBed } from "../../test/support/control.ts";
import type { Task } from "../queue/contract.ts";
import type { Core } from "./core.ts";
import { watchTask } from "./watch-task.ts";

function enqueueTask(core: Core): Task {
  const payload = { operation: "verify" as const, job: "nightly", destination: "local", backupId: "none" };
  return core.queue.enqueue({ kind: "verify", payload, keys: [], priority: "interactive", requester: "test" }).task;
}

test("F2 an end that comes together with the daemon's own is still told to who watches", async () => {
  await using bed = await openControlBed();
  const { core } = bed;
  const task = enqueueTask(core);
  const stop = new AbortController();
  const lines = watchTask(core, task.id, stop.signal);
  assert.equal((await lines.next()).value?.ended, false);
  const last = lines.next();
  core.queue.cancel(task.id);
  stop.abort();
  const { value } = await last;
  assert.ok(value?.ended === true);
  assert.equal(value.state, "cancelled");
  assert.equal((await lines.next()).done, true);
});

test("F2 who watches a task that goes on is let go when the daemon ends", async () => {
  await using bed = await openControlBed();
  const { core } = bed;
  const task = enqueueTask(core);
  const stop = new AbortController();
  const lines = watchTask(core, task.id, stop.signal);
  await lines.next();
  const last = lines.next();
  stop.abort();
  assert.equal((await last).done, true);
});
