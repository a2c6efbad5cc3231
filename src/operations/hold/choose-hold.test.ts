import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceConfig } from "../../config/config.ts";
import { chooseHold } from "./choose-hold.ts";

const hook = (name: string) => ({ command: [name], timeoutMs: 1000 });
const service: ServiceConfig = {
  key: "unit:graph.service",
  what: "the unit graph.service",
  stop: [hook("stop")],
  start: [hook("start")],
  pause: [],
  resume: [],
  maxDowntimeMs: 5000,
};

const graph = { name: "graph", kind: "files", options: {}, optional: false, service };

test("a service is held by its own hooks and limit, and only in a way that it has", () => {
  assert.deepEqual(chooseHold(graph), {});
  assert.deepEqual(chooseHold({ ...graph, copy: "stopped" }), {
    copying: "stopped",
    hold: { engage: [hook("stop")], release: [hook("start")], limitMs: 5000, key: "unit:graph.service", manner: "stopped" },
  });
  assert.throws(() => chooseHold({ ...graph, copy: "paused" }), /copied while its server is paused, and nothing says how/);
});
