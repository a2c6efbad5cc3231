import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import type { StateQuestion } from "../../config/config.ts";
import { askStanding, askState } from "./ask-state.ts";

const previous = process.env["HOLDFAST_HOOKS"];
before(() => {
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (previous === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = previous;
});

const ask = async (answer: StateQuestion["answer"], script: string): Promise<string> =>
  await askState({ command: ["/bin/sh", "-c", script], timeoutMs: 10_000, answer }, new AbortController().signal).catch(
    (error: unknown) => {
      if (error instanceof HoldfastError && error.code === "hook-failed") return "no answer";
      throw error;
    },
  );

const cases: readonly (readonly [StateQuestion["answer"], string, string])[] = [
  ["unit", "echo LoadState=loaded; echo ActiveState=active; echo FreezerState=running", "running"],
  ["unit", "echo LoadState=loaded; echo ActiveState=active", "running"],
  ["unit", "echo LoadState=loaded; echo ActiveState=active; echo FreezerState=frozen", "paused"],
  ["unit", "echo LoadState=loaded; echo ActiveState=inactive", "stopped"],
  ["unit", "echo LoadState=loaded; echo ActiveState=failed", "stopped"],
  ["unit", "echo LoadState=loaded; echo ActiveState=activating", "changing"],
  ["unit", "echo LoadState=not-found; echo ActiveState=inactive", "no answer"],
  ["unit", "", "no answer"],
  ["container", "echo running", "running"],
  ["container", "echo paused", "paused"],
  ["container", "echo exited", "stopped"],
  ["container", "echo restarting", "changing"],
  ["container", "echo no such container >&2; exit 1", "no answer"],
  ["compose", `echo '{"Name":"we-neo4j-1","State":"running"}'`, "running"],
  ["compose", `echo '[{"Name":"we-neo4j-1","State":"exited"}]'`, "stopped"],
  ["compose", `echo '{"State":"exited"}'; echo '{"State":"running"}'`, "running"],
  ["compose", "", "unknown"],
  ["compose", "echo no such service >&2; exit 1", "no answer"],
  ["status", "exit 0", "running"],
  ["status", "exit 1", "stopped"],
  ["status", "exit 3", "stopped"],
  ["status", "exit 127", "no answer"],
  ["status", "kill -9 $$", "no answer"],
];

test("only what says so is taken for stopped: a wrong name or a broken client is no answer", async () => {
  for (const [answer, script, expected] of cases) assert.equal(await ask(answer, script), expected, `${answer}: ${script}`);
});

test("since when it stands so is what systemd and Docker say; a unit that systemd has forgotten tells nothing", async () => {
  const since = async (answer: StateQuestion["answer"], output: string): Promise<string | undefined> =>
    (await askStanding({ command: ["/bin/echo", "-e", output], timeoutMs: 10_000, answer }, new AbortController().signal)).since;
  const unit = "LoadState=loaded\\nActiveState=inactive\\nInactiveExitTimestampMonotonic=";
  assert.equal(await since("unit", `${unit}7411041`), "7411041");
  for (const none of [`${unit}0`, unit, "LoadState=loaded\\nActiveState=inactive"]) assert.equal(await since("unit", none), undefined);
  assert.equal(await since("container", "exited 2026-01-01T00:00:00.123456789Z"), "2026-01-01T00:00:00.123456789Z");
  assert.equal(await since("container", "exited 2026-01-01 10:00:00 +0000 UTC"), "2026-01-01 10:00:00 +0000 UTC");
  assert.equal(await since("container", "exited"), undefined);
  assert.equal(await since("status", ""), undefined);
});
