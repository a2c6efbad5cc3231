import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../base/secret.ts";
import type { Hook } from "../config/config.ts";
import { fillHooks } from "./fill-hooks.ts";
import type { RestoreRecord } from "./restore-journal.ts";

const begin = (start: Hook): RestoreRecord => {
  const { command, ...rest } = start;
  const hook = JSON.parse(JSON.stringify({ ...rest, command })) as Extract<RestoreRecord, { type: "begin" }>["start"][number];
  return { type: "begin", at: "", id: "r", backup: "b", job: "nightly", datastores: [], start: [hook], stop: [] };
};

function fill(written: Hook, known: readonly Hook[]): { readonly env: unknown; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const [record] = fillHooks(
    [begin(written)],
    (job) => (job === "nightly" ? known : []),
    (message) => warnings.push(message),
  );
  assert.ok(record?.type === "begin");
  const env = Object.entries(record.start[0]?.env ?? {}).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]);
  return { env: Object.fromEntries(env), warnings };
}

test("F71 F59 a hook of a journal gets its variables from the config's hook of the same command; what is lost is told", () => {
  const hook: Hook = { command: ["start", "it"], timeoutMs: 1, env: { A: new Secret("one"), B: new Secret("two") } };
  assert.deepEqual(fill(hook, [{ ...hook, command: ["other"] }, hook]), { env: { A: "one", B: "two" }, warnings: [] });
  assert.deepEqual(fill(hook, [{ ...hook, env: { A: new Secret("changed") } }]), {
    env: { A: "changed" },
    warnings: ["The command `start it` runs without B: the config has no value of it any more"],
  });
  assert.deepEqual(fill(hook, [{ ...hook, runAs: "other" }]).env, {});
  assert.deepEqual(fill({ ...hook, env: { A: "of an older version" } }, []), { env: { A: "of an older version" }, warnings: [] });
  assert.deepEqual(fill({ command: ["start"], timeoutMs: 1 }, []), { env: {}, warnings: [] });
});
