import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { execute, query } from "../support/sqlite.ts";

test(
  "F59 G6 nothing is restored over a restore that is to be rolled back yet, neither beside the daemon nor by it, and its backups are suspect",
  { timeout: 120_000 },
  async () => {
    await using installation = await createInstallation({
      init: ["disk"],
      config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  memory: { kind: sqlite, path: ${dir}/memory.db }
jobs:
  nightly: { datastores: [memory], destination: disk }
`,
    });
    const { dir } = installation;
    const database = join(dir, "memory.db");
    execute(database, "CREATE TABLE t (a); INSERT INTO t VALUES ('first')");
    await installation.start();
    assert.equal((await installation.holdfast(["backup", "nightly"])).status, 0);
    execute(database, "UPDATE t SET a = 'second'");
    const state = join(dir, "state");
    for (const place of ["restores", "restores-offline"]) mkdirSync(join(state, place), { recursive: true });
    // A step that nobody here can undo.
    const begin = { type: "begin", at: "", id: "stuck", backup: "b", job: "nightly", datastores: ["memory"], start: [], stop: [] };
    const step = { type: "step", datastore: "memory", kind: "of-tomorrow", step: { op: "move" } };
    writeFileSync(join(state, "restores/stuck.restore.jsonl"), `${JSON.stringify(begin)}\n${JSON.stringify(step)}\n`);
    const offline = await installation.holdfast(["restore", "latest", "--offline", join(dir, "disk"), "--yes"]);
    assert.match(offline.stderr, /The restore stuck was neither finished nor rolled back/);
    renameSync(join(state, "restores/stuck.restore.jsonl"), join(state, "restores-offline/stuck.restore.jsonl"));
    const online = await installation.holdfast(["restore", "latest", "--job", "nightly", "--yes"]);
    assert.match(online.stderr, /The restore stuck was neither finished nor rolled back/);
    assert.equal(query(database, "SELECT a FROM t"), "second");
    // What may be half restored is backed up all the same, and is not believed.
    const doubted = await installation.holdfast(["backup", "nightly", "--json"]);
    assert.equal(doubted.status, 3, doubted.stderr);
    const { suspect } = (JSON.parse(doubted.stdout) as { details: { suspect: string[] } }).details;
    assert.deepEqual(suspect, ["memory may be half restored: the restore stuck was neither finished nor rolled back"]);
    rmSync(join(state, "restores-offline/stuck.restore.jsonl"));
    assert.equal((await installation.holdfast(["backup", "nightly"])).status, 0);
  },
);
