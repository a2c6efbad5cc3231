import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { useDirectHooks } from "../../../test/support/direct-hooks.ts";
import { makeHeldService, type HeldService } from "../../../test/support/held-service.ts";
import { letGo, type Doubt } from "./let-go.ts";

useDirectHooks();

/** Its first start succeeds, and a stop that is still at work takes it down again at once. */
const overtaken = 'echo started >> "$1/log"; touch "$1/up"; test "$(grep -c started "$1/log")" -gt 1 || rm "$1/up"';

async function letGoOvertaken(t: TestContext, doubt: Doubt): Promise<HeldService> {
  const service = makeHeldService(t);
  service.set("up", "gone");
  const release = [{ command: ["/bin/sh", "-c", overtaken, "sh", service.directory], timeoutMs: 20_000 }];
  await letGo({ release, ask: service.ask, manner: "stopped" }, doubt, new AbortController().signal);
  return service;
}

describe("a service is let go", { concurrency: true }, () => {
  test("F4 a stop that is still at work overtakes the start: it is started again, and that is no failure", async (t) => {
    const service = await letGoOvertaken(t, "engaging");
    assert.equal(service.runs(), true);
    assert.deepEqual(service.log(), ["started", "started"]);
  });

  test("where no stop can be at work, a start after which it does not run is a failure", async (t) => {
    await assert.rejects(letGoOvertaken(t, "none"), (error) => error instanceof HoldfastError && error.code === "hook-failed");
  });

  test("a start that fails until the last doubt is over is a failure", async (t) => {
    const service = makeHeldService(t);
    service.set("up", "gone");
    service.set("fail-start", "there");
    const { release } = service.order;
    const held = { release, ask: service.ask, manner: "stopped" } as const;
    await assert.rejects(letGo(held, "engaging", new AbortController().signal), /exited with 7/);
    assert.equal(service.runs(), false);
  });
});
