import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openPostgres } from "../../test/support/postgres.ts";
import { quietPorts } from "../../test/support/small-world.ts";
import { finishRestores } from "./finish-restore.ts";
import { createRestoreJournal } from "./restore-journal.ts";
import { identifyMembers } from "./same-server.ts";

const never = new AbortController().signal;

test("F59 G6 a restore is not called rolled back by a server that it had not begun on", { timeout: 120_000 }, async () => {
  await using server = await openPostgres(15);
  const place = mkdtempSync(join(tmpdir(), "same-"));
  try {
    const options = { host: server.socketDirectory, port: server.port, user: "postgres", database: "postgres", waitFor: "0s" };
    const member = { datastore: "crm", kind: "postgresql", entries: [] };
    const keys = await identifyMembers([member], () => options, never);
    const own = keys.get("crm")?.id ?? "";
    assert.match(own, /^postgresql:\d+\/postgres$/);
    for (const [id, key] of [
      ["other", own.replace(/\d+/, "7000000000000000001")],
      ["own", own],
      ["old", undefined],
    ] as const) {
      await using journal = await createRestoreJournal(place, id);
      const begin = { id, at: "", backup: "b", job: "nightly", datastores: ["crm"], start: [], stop: [] };
      await journal.append({ type: "begin", ...begin, ...(key === undefined ? {} : { keys: { crm: key } }) });
      const step = { op: "swap", database: "crm", aside: "crm_holdfast_1", oid: "1", staged: "crm_holdfast_2", stagedOid: "2" };
      await journal.append({ type: "step", datastore: "crm", kind: "postgresql", step });
    }
    const finished = await finishRestores(place, quietPorts, never, () => options);
    const outcomes = Object.fromEntries(finished.map(({ id, outcome }) => [id, outcome]));
    assert.deepEqual(outcomes, { other: "failed", own: "rolled-back", old: "rolled-back" });
    assert.match(finished.find(({ id }) => id === "other")?.message ?? "", /means another server by "crm" now/);
  } finally {
    rmSync(place, { recursive: true });
  }
});
