import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("the pinned runtime knows what the worker tells its collector", () => {
  const relax = new URL("relax-collector.ts", import.meta.url).href;
  const script = `import { relaxCollector } from ${JSON.stringify(relax)}; relaxCollector(); console.log("on");`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  // V8 says it on standard output or error, and goes on, when it does not know a flag.
  assert.deepEqual([status, stdout, stderr], [0, "on\n", ""]);
});
