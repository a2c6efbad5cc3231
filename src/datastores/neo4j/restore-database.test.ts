import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listLeftovers, makeTestDirectory, restoreAll, storeEntry } from "../../../test/support/datastore.ts";
import { runShell } from "../../../test/support/trees.ts";
import { neo4jDriver } from "./neo4j.ts";

const entry = storeEntry({ name: "neo4j_backup.dump", form: "file", sourcePath: "/data/databases/neo4j" }, Buffer.from("DZV1 and no more"));

test("F53 directories that are links are refused before anything is made: a roll-back could not follow them", async (t) => {
  for (const linked of ["databases", "transactions/neo4j"]) {
    const directory = makeTestDirectory(t);
    const data = join(directory, "data");
    runShell(`mkdir -p data/databases/neo4j data/transactions/neo4j elsewhere; mv data/${linked} elsewhere/moved`, directory);
    symlinkSync(join(directory, "elsewhere/moved"), join(data, linked));
    await assert.rejects(restoreAll(neo4jDriver, { data }, directory, [entry]), { code: "target-unsafe", message: new RegExp(linked) });
    await assert.rejects(restoreAll(neo4jDriver, { data }, directory, [], { absent: true }), { code: "target-unsafe" });
    assert.deepEqual(listLeftovers(directory), []);
  }
});

test("a member that is no single dump is refused, and so is a part of a graph", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  mkdirSync(data);
  for (const entries of [[{ ...entry, name: "graph.txt" }], [{ ...entry, form: "tree" as const }]])
    await assert.rejects(restoreAll(neo4jDriver, { data }, directory, entries), { code: "backup-damaged" });
  await assert.rejects(restoreAll(neo4jDriver, { data }, directory, []), { code: "backup-incomplete" });
  await assert.rejects(restoreAll(neo4jDriver, { data }, directory, [entry], { parts: { parts: ["Person"] } }), { code: "refused" });
});

test("options: what contradicts itself is refused, and a backup tells where it came from", () => {
  assert.throws(() => neo4jDriver.configure({ data: "/d", prove: "files" }), { code: "config-invalid", message: /archive/ });
  assert.throws(() => neo4jDriver.configure({ data: "/d", url: "http://user:secret@h" }), { code: "config-invalid" });
  assert.throws(() => neo4jDriver.configure({ data: "/d", database: "../x" }), { code: "config-invalid" });
  const configured = neo4jDriver.configure({ data: "/srv/d", database: "people" });
  assert.deepEqual([configured.waysToCopy, configured.restoresStopped], [["stopped", "paused"], true]);
  assert.deepEqual(neo4jDriver.configure({ data: "/d", method: "online" }).waysToCopy, ["live"]);
  assert.deepEqual(configured.sourcePaths, ["/srv/d/databases/people", "/srv/d/transactions/people"]);
  assert.deepEqual(neo4jDriver.deriveOptions([{ name: "g.dump", form: "file", sourcePath: "/srv/d/databases/people" }]), {
    data: "/srv/d",
    database: "people",
    entry: "g",
  });
  const own = { data: "/other", home: "/opt/neo4j", heap: "1g", method: "archive", prove: "files", url: "http://h", entry: "x" };
  const known = neo4jDriver.deriveOptions([{ name: "g.dump", form: "file", sourcePath: "/srv/d/databases/people" }], own);
  assert.deepEqual(known, { home: "/opt/neo4j", heap: "1g", data: "/srv/d", database: "people", entry: "g" });
  neo4jDriver.configure(known);
  const derived = neo4jDriver.deriveOptions([{ name: "g.tar", form: "tree", sourcePath: "/srv/d" }]);
  assert.deepEqual(derived, { data: "/srv/d", method: "archive", entry: "g" });
  neo4jDriver.configure(derived);
});
