import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { HoldfastError } from "../base/errors.ts";
import type { RestoreSession } from "../datastores/contract.ts";
import { startRestored, type Aftermath } from "./start-restored.ts";
import type { RestoreRecord } from "./restore-journal.ts";

const never = new AbortController().signal;
let hooks: string | undefined;
before(() => {
  hooks = process.env["HOLDFAST_HOOKS"];
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = hooks;
});

/** What becomes of a restore of one datastore by what its server answers after the start. */
async function start(
  command: "true" | "false",
  confirm: NonNullable<RestoreSession["confirm"]>,
): Promise<Aftermath & { readonly records: readonly string[] }> {
  const records: string[] = [];
  const record = (entry: RestoreRecord): Promise<void> => Promise.resolve(void records.push(entry.type));
  const setup = { stop: [], start: [{ command: [command], timeoutMs: 10_000 }], check: [], stagingDir: tmpdir() };
  const targets = [{ member: { datastore: "cache" }, session: { confirm } }];
  const ports = { now: () => 0, progress: () => undefined, log: () => undefined };
  return { ...(await startRestored(setup, targets, record, ports, never)), records };
}

const other = new HoldfastError("restore-failed", "the server has not started from the restored data");
const closed = new HoldfastError("source-unreadable", "it wants a password");

test("D11 G6 what a server runs on is claimed only when it has said so, whether the application has started or not", async () => {
  const proven = (): Promise<"proven"> => Promise.resolve("proven");
  const unknown = (): Promise<"unknown"> => Promise.resolve("unknown");
  assert.deepEqual(await start("true", proven), { unproven: [], records: ["starting", "reached"] });
  assert.deepEqual(await start("true", unknown), { unproven: ["cache"], records: ["starting", "reached"] });
  for (const [confirm, unproven] of [
    [proven, []],
    [unknown, ["cache"]],
    [() => Promise.reject(closed), ["cache"]],
  ] as const) {
    const { unstarted, ...rest } = await start("false", confirm);
    assert.match(unstarted ?? "", /The start command `false` failed: it exited with 1/);
    assert.deepEqual(rest, { unproven, records: ["starting"] });
  }
});

test("D11 G6 a server that runs on other data fails the restore, even where the application has not started", async () => {
  for (const command of ["true", "false"] as const)
    await assert.rejects(
      start(command, () => Promise.reject(other)),
      other,
    );
  await assert.rejects(
    start("true", () => Promise.reject(closed)),
    closed,
  );
});
