import assert from "node:assert/strict";
import { test } from "node:test";
import { withCatalog } from "../../test/support/catalog.ts";
import type { Restore } from "./contract.ts";

const createRestore = (id: string, facts: Partial<Restore> = {}): Restore => ({
  id,
  runId: `run-${id}`,
  backupId: "b1",
  destination: "local",
  backupName: "duck_backup_1",
  job: "nightly",
  datastores: ["memory"],
  startedAtMs: 1000,
  state: "running",
  ...facts,
});
const preRestore = { destination: "local", id: "p1", name: "pre_restore_1" };

test("a restore is recorded, changed and listed newest first", () => {
  withCatalog(({ restores }) => {
    restores.put(createRestore("s1"));
    restores.put(createRestore("s2", { job: "weekly", startedAtMs: 1 }));
    const change = { state: "done", finishedAtMs: 2000, preRestore } as const;
    assert.deepEqual(restores.update("s1", change), createRestore("s1", change));
    assert.deepEqual(restores.get("s1"), createRestore("s1", change));
    restores.put(createRestore("s1", { state: "failed" }));
    assert.deepEqual(
      restores.list().map(({ id, state }) => [id, state]),
      [
        ["s2", "running"],
        ["s1", "failed"],
      ],
    );
    assert.deepEqual(
      restores.list({ job: "nightly" }).map(({ id }) => id),
      ["s1"],
    );
    assert.deepEqual(
      restores.list({ states: ["running"] }).map(({ id }) => id),
      ["s2"],
    );
    assert.deepEqual(
      restores.list({ limit: 1 }).map(({ id }) => id),
      ["s2"],
    );
    assert.equal(restores.get("s9"), undefined);
    assert.throws(() => restores.update("s9", {}), { code: "unknown-name", message: "There is no restore s9" });
  });
});
