import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { dumpAll, each, makeContext, quiet, type Dumped } from "../../../test/support/datastore.ts";
import { killWhileLoading } from "../../../test/support/kill-neo4j-restore.ts";
import { makeNeo4j, type Neo4jServer } from "../../../test/support/neo4j.ts";
import { runShell } from "../../../test/support/trees.ts";
import { compareContents } from "../../base/contents.ts";
import type { StoredEntry, SwapStep } from "../contract.ts";
import { neo4jDriver } from "./neo4j.ts";

/* One server for the file, whose tests stand in their order: starting Java is what takes time. */

let directory: string;
let server: Neo4jServer;
let dumped: Dumped;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "neo4j-"));
  chmodSync(directory, 0o755);
  server = await makeNeo4j(join(directory, "server"));
  await server.start();
  await server.ask("UNWIND range(1, 300) AS i CREATE (:Person {n: i})-[:KNOWS]->(:Person {n: -i})");
  // As a power cut leaves it: nothing is shut down in good order.
  await server.stop("SIGKILL");
});

after(async () => {
  await server.stop("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

/** Java takes its time where the machine has other work, too. */
const slow = { timeout: 400_000 };

const withContents = ({ entries, facts }: Dumped): readonly StoredEntry[] =>
  entries.map((entry) => ({ ...entry, ...(facts.contents === undefined ? {} : { contents: facts.contents }) }));

test(
  "W1 the data directory of a server that was killed is archived as it is, and what recovers from it is counted and comes back",
  slow,
  async () => {
    const options = server.options({ method: "archive", url: server.url });
    const archived = await dumpAll(neo4jDriver, options, directory, { context: { copying: "stopped" } });
    assert.deepEqual(
      archived.entries.map(({ name }) => name),
      ["neo4j_backup.tar"],
    );
    assert.equal(archived.facts.contents?.counts["nodes.Person"], 600);
    assert.equal(archived.facts.contents?.counts["relationships.KNOWS"], 300);
    runShell("rm -r databases/neo4j/* transactions/system", server.data);
    const steps: SwapStep[] = [];
    const record = async (step: SwapStep): Promise<void> => void steps.push(step);
    await using datastore = await neo4jDriver.configure(options).open(makeContext(directory));
    await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record }, quiet);
    const staged = await session.stage(each(withContents(archived)), quiet);
    assert.deepEqual(compareContents(archived.facts.contents ?? staged, staged), []);
    await session.swap(record, quiet);
    assert.deepEqual(compareContents(staged, await session.summarize(quiet)), []);
    await neo4jDriver.settle(steps, quiet);
    await server.start();
    assert.equal(await session.confirm?.(quiet), "proven");
    await server.ask("CREATE (:Person)");
    assert.equal(await session.confirm?.(quiet), "unknown");
    await server.ask("MATCH (n) DETACH DELETE n");
    await assert.rejects(async () => session.confirm?.(quiet), { code: "restore-failed", message: /no nodes/ });
    await server.ask("UNWIND range(1, 300) AS i CREATE (:Person {n: i})-[:KNOWS]->(:Person {n: -i})");
    await server.stop("SIGKILL");
  },
);

test("W13 a drill loads the dump into a private server, and leaves the dump alone in a directory", slow, async () => {
  dumped = await dumpAll(neo4jDriver, server.options(), directory, { context: { copying: "stopped" } });
  assert.equal(dumped.facts.contents?.counts["nodes.Person"], 600);
  const path = join(directory, "drill");
  mkdirSync(path);
  const context = makeContext(directory);
  await using datastore = await neo4jDriver.configure(server.options({ data: "/nowhere" })).open(context);
  await using session = await datastore.openRestore({ kind: "scratch", path }, { absent: false }, quiet);
  const staged = await session.stage(each(withContents(dumped)), quiet);
  assert.deepEqual(compareContents(dumped.facts.contents ?? staged, staged), []);
  await session.swap(async () => undefined, quiet);
  assert.deepEqual(readdirSync(path), ["neo4j_backup.dump"]);
  assert.deepEqual(readdirSync(context.stagingDir), []);
});

test("F1 G6 a restore that is killed while Java works for it takes Java with it, and is rolled back", slow, async () => {
  const fingerprint = (): string => runShell("find . -printf '%P %i %s %T@\\n' | grep -v holdfast | sort", join(server.data, "databases"));
  const before = fingerprint();
  const { stagingDir } = makeContext(directory);
  const [entry] = withContents(dumped);
  assert.ok(entry !== undefined);
  const steps = await killWhileLoading(server.options(), entry, { directory, stagingDir });
  assert.ok(
    readdirSync(server.data).some((name) => name.startsWith(".holdfast")),
    "there is something to remove",
  );
  for (const _time of [1, 2]) await neo4jDriver.rollBack(steps, quiet);
  assert.ok(!readdirSync(server.data).some((name) => name.startsWith(".holdfast")));
  assert.equal(fingerprint(), before);
});

test("F1 G6 after a restore was killed, the server runs with what it had", slow, async () => {
  await server.start();
  assert.equal(await server.ask("MATCH (p:Person) RETURN count(p)"), 600);
  await server.stop("SIGKILL");
});
