import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { dumpAll, makeTestDirectory, restoreAll, storeEntry } from "../../../test/support/datastore.ts";
import { neo4jHome } from "../../../test/support/neo4j.ts";
import { neo4jFixture } from "../../../test/support/neo4j-fixture.ts";
import { runShell } from "../../../test/support/trees.ts";
import type { SwapStep } from "../contract.ts";
import { neo4jDriver } from "./neo4j.ts";

/* What is reached by a link is in no copy, and a private server on the copy writes to the original: seen with a real one. */

/** A data directory of which a part lies elsewhere. */
async function makeLinked(t: TestContext, part: string) {
  const directory = makeTestDirectory(t);
  await using _source = await neo4jFixture.openSource(join(directory, "place"));
  const data = join(directory, "place", "data");
  const elsewhere = join(directory, "elsewhere");
  runShell(`mv ${join(data, part)} ${elsewhere}; ln -s ${elsewhere} ${join(data, part)}`, directory);
  const state = (): string => runShell(`find ${elsewhere} -printf '%p %i %s %T@ %C@\\n' | sort`, directory);
  return { directory, data, options: { data, home: neo4jHome }, state };
}

const file = "databases/neo4j/neostore.nodestore.db";
const cases = [
  { settings: { method: "dump" }, parts: ["databases/neo4j", "transactions/neo4j", file] },
  { settings: { method: "archive" }, parts: ["databases", "transactions", "databases/neo4j", "transactions/neo4j", file] },
  { settings: { method: "archive", prove: "files" }, parts: ["databases", "transactions/neo4j"] },
];

for (const { settings, parts } of cases)
  for (const part of parts) {
    const name = Object.values(settings).join(", ");
    test(`${part} that is a link is refused, not backed up as a link, nor opened by a private server (${name})`, async (t) => {
      const { directory, options, state } = await makeLinked(t, part);
      const before = state();
      const dumping = dumpAll(neo4jDriver, { ...options, ...settings }, directory, { context: { copying: "stopped" } });
      await assert.rejects(dumping, { code: "source-unreadable", message: /is a link/ });
      assert.equal(state(), before);
    });
  }

for (const prove of ["graph", "files"])
  for (const part of ["databases", "databases/neo4j", file])
    test(`F57 an archive in which ${part} is a link is refused before a private server opens it (${prove})`, async (t) => {
      const { directory, data, options, state } = await makeLinked(t, part);
      const before = state();
      const tar = join(directory, "hostile.tar");
      runShell(`tar --format=posix --sort=name -cf ${tar} .`, data);
      const entry = storeEntry({ name: "neo4j_backup.tar", form: "tree", sourcePath: data }, readFileSync(tar));
      const target = { ...options, data: join(directory, "target"), method: "archive", prove };
      await assert.rejects(restoreAll(neo4jDriver, target, directory, [entry]), { code: "backup-damaged", message: /is a link/ });
      assert.equal(state(), before);
      assert.equal(runShell("ls -A | grep -cE '^(target|\\.holdfast)' || true", directory).trim(), "0");
    });

test("G6 a server that is started while the directories change their names is found before the old one goes away", async (t) => {
  const directory = makeTestDirectory(t);
  await using source = await neo4jFixture.openSource(join(directory, "place"));
  const { entries } = await dumpAll(neo4jDriver, source.options, directory, { context: { copying: "stopped" } });
  let holder: ReturnType<typeof spawn> | undefined;
  const record = (step: SwapStep, steps: SwapStep[]): void => {
    steps.push(step);
    if (step["op"] !== "aside") return;
    const opened = openSync(join(directory, "place", "data", file), "r");
    holder = spawn("sleep", ["60"], { stdio: [opened, "ignore", "ignore"] });
    closeSync(opened);
  };
  try {
    await assert.rejects(restoreAll(neo4jDriver, source.options, directory, entries, { record }), { code: "target-in-use" });
  } finally {
    holder?.kill();
  }
});
