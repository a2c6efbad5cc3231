import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync, zstdDecompressSync } from "node:zlib";
import { checkAll, dumpAll, makeContext, quiet, readEntry, restoreAll, storeEntry, type Dumped } from "../../../test/support/datastore.ts";
import { makeNeo4j, type Neo4jServer } from "../../../test/support/neo4j.ts";
import { compareContents } from "../../base/contents.ts";
import { findServers } from "./find-servers.ts";
import type { StoredEntry } from "../contract.ts";
import { neo4jDriver } from "./neo4j.ts";

/*
 * One server for the file, whose tests stand in their order: starting Java is what takes time. Its data at the end of each test is what the
 * next one begins with.
 */

let directory: string;
let server: Neo4jServer;
let dumped: Dumped;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "neo4j-"));
  chmodSync(directory, 0o755);
  server = await makeNeo4j(join(directory, "server"));
  await server.start();
  await server.ask("CREATE CONSTRAINT person FOR (p:Person) REQUIRE p.n IS UNIQUE");
  await server.ask("CREATE INDEX city FOR (c:`Big ``City`) ON (c.n)");
  await server.ask(
    "UNWIND range(1, 500) AS i CREATE (:Person {n: i, text: 'some text of a person'})-[:LIVES_IN {since: i}]->(:`Big ``City` {n: i})",
  );
});

after(async () => {
  await server.stop("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

/** Java takes its time where the machine has other work, too. */
const slow = { timeout: 400_000 };

const graph = { nodes: 1000, "nodes.Person": 500, "nodes.Big `City": 500, relationships: 500, "relationships.LIVES_IN": 500 };
const countPeople = (): Promise<unknown> => server.ask("MATCH (p:Person) RETURN count(p)");

function pick(counts: Readonly<Record<string, number>> | undefined): Record<string, number | undefined> {
  return Object.fromEntries(Object.keys(graph).map((name) => [name, counts?.[name]]));
}

test("F48 the files of a running server are not copied: the error names the remedy", async () => {
  for (const method of ["dump", "archive"])
    await assert.rejects(dumpAll(neo4jDriver, server.options({ method }), directory), { code: "source-locked", hint: /service/ });
  await assert.rejects(dumpAll(neo4jDriver, server.options(), directory, { context: { copying: "stopped" } }), { code: "source-locked" });
});

test("a running server is seen by who may not look into its process: by its lock", () => {
  assert.deepEqual(findServers(server.data), [server.pid]);
  process.seteuid?.(1);
  try {
    assert.deepEqual(findServers(server.data), [0]);
  } finally {
    process.seteuid?.(0);
  }
});

test("`online` needs Enterprise: Community's tool refuses, and the error says so", async () => {
  await assert.rejects(dumpAll(neo4jDriver, server.options({ method: "online" }), directory), {
    code: "tool-missing",
    message: /Community/,
  });
});

test("W1 a paused server is copied crash-consistently, under load, and a dump of the recovered copy loads", slow, async () => {
  const stop = new AbortController();
  const writing = (async (): Promise<number> => {
    let written = 0;
    for (; !stop.signal.aborted; written += 1) await server.ask(`CREATE (:Written {n: ${written}})`);
    return written;
  })();
  while (Number(await server.ask("MATCH (w:Written) RETURN count(w)")) < 20);
  const acknowledged = Number(await server.ask("MATCH (w:Written) RETURN count(w)"));
  const context = makeContext(directory, { copying: "paused" });
  await using datastore = await neo4jDriver.configure(server.options()).open(context);
  process.kill(server.pid ?? 0, "SIGSTOP");
  const pausedAtMs = performance.now();
  try {
    await datastore.snapshot?.(quiet);
  } finally {
    process.kill(server.pid ?? 0, "SIGCONT");
  }
  assert.ok(performance.now() - pausedAtMs < 10_000, "it is paused for the copying alone");
  const dump = datastore.dump(quiet);
  const first = await dump.next();
  assert.ok(first.done !== true && first.value.body.kind === "file");
  const last = await dump.next();
  assert.ok(last.done === true);
  assert.deepEqual(
    last.value.notes.map(({ code }) => code),
    ["crash-consistent"],
  );
  assert.deepEqual(pick(last.value.contents?.counts), {
    ...graph,
    nodes: graph.nodes + (last.value.contents?.counts["nodes.Written"] ?? 0),
  });
  assert.ok((last.value.contents?.counts["nodes.Written"] ?? 0) >= acknowledged, "what was acknowledged is in it");
  stop.abort();
  assert.ok((await writing) > 0);
  assert.deepEqual(readdirSync(context.stagingDir), []);
  await server.ask("MATCH (w:Written) DELETE w");
});

test("W1 a stopped server is dumped from a copy that was taken before it went on, proven and counted", slow, async () => {
  await server.stop();
  const context = makeContext(directory, { copying: "stopped" });
  const before = statSync(join(server.data, "databases", "neo4j")).mtimeMs;
  dumped = await dumpAll(neo4jDriver, server.options(), directory, { context });
  assert.equal(statSync(join(server.data, "databases", "neo4j")).mtimeMs, before);
  const { facts, entries } = dumped;
  assert.deepEqual(pick(facts.contents?.counts), graph);
  assert.equal(facts.contents?.counts["constraints"], 1);
  assert.equal(facts.contents?.counts["indexes"], 4);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ["neo4j_backup.dump"],
  );
  assert.equal(facts.checked, true);
  assert.deepEqual(readdirSync(context.stagingDir), []);
  const stored = entries.map((entry) => ({ ...entry, ...(facts.contents === undefined ? {} : { contents: facts.contents }) }));
  assert.deepEqual(
    compareContents(facts.contents ?? { counts: {}, digests: {}, facts: {} }, (await checkAll(neo4jDriver, stored, directory)).contents),
    [],
  );
});

test("F22 a dump that is truncated, changed or none is refused by the check, and by a restore that leaves the data as it was", async () => {
  const [entry] = dumped.entries;
  assert.ok(entry !== undefined);
  const bytes = await readEntry(entry);
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  for (const bad of [bytes.subarray(0, -1), bytes.subarray(0, 3), bytes.subarray(0, bytes.length / 2), flipped, Buffer.alloc(5000, "x")]) {
    await assert.rejects(checkAll(neo4jDriver, [storeEntry(entry, Buffer.from(bad))], directory), { code: "backup-damaged" });
    await assert.rejects(restoreAll(neo4jDriver, server.options(), directory, [storeEntry(entry, Buffer.from(bad))]), {
      code: "backup-damaged",
    });
  }
  assert.ok(!readdirSync(server.data).some((name) => name.startsWith(".holdfast")));
});

test("missing and wrong parts are errors that name the remedy", async () => {
  const empty = join(directory, "empty");
  mkdirSync(empty);
  const fails = (more: Readonly<Record<string, unknown>>, expected: object): Promise<void> =>
    assert.rejects(dumpAll(neo4jDriver, server.options(more), directory), expected);
  await fails({ database: "other" }, { code: "source-missing", message: /no database "other" in .*, but neo4j/ });
  await fails({ database: "noe4j" }, { code: "source-missing", hint: /Did you mean "neo4j"\?/ });
  await fails({ home: empty }, { code: "tool-missing", hint: /`home`/ });
  const noJava = { java: join(empty, "java17") };
  await fails(noJava, { code: "tool-missing", hint: /Java 17/ });
  const context = { name: "graph", stagingDir: directory, progress: () => undefined };
  await using datastore = await neo4jDriver.configure(server.options(noJava)).open(context);
  await assert.rejects(datastore.probe(quiet), { code: "tool-missing", message: /empty\/java17 is not installed/, hint: /Java 17/ });
  const old = join(directory, "old-java");
  writeFileSync(
    old,
    "#!/bin/sh\necho 'Error: LinkageError occurred: java.lang.UnsupportedClassVersionError: org/neo4j/cli/AdminTool has been compiled by a more recent version' >&2\nexit 1\n",
    { mode: 0o755 },
  );
  await fails({ java: old }, { code: "tool-missing", message: /too old/, hint: /17/ });
});

test("G6 a restore is refused while the server runs", slow, async () => {
  await server.start();
  await server.ask("MATCH (p:Person) WHERE p.n > 100 DETACH DELETE p");
  assert.equal(await countPeople(), 100);
  await assert.rejects(restoreAll(neo4jDriver, server.options(), directory, dumped.entries), { code: "target-in-use", hint: /service/ });
  await server.stop();
});

test("G6 a dump that was restored into a stopped server is rolled back, and the server runs on what it had", slow, async () => {
  const first = await restoreAll(neo4jDriver, server.options(), directory, dumped.entries);
  assert.deepEqual(compareContents(dumped.facts.contents ?? first.staged, first.found), []);
  await neo4jDriver.rollBack(first.steps, quiet);
  await neo4jDriver.rollBack(first.steps, quiet);
  await server.start();
  assert.equal(await countPeople(), 100);
  await server.stop();
});

test("G6 W1 a dump comes back into a stopped server, with its owner, and settling it is for good", slow, async () => {
  const second = await restoreAll(neo4jDriver, server.options(), directory, [await packAsGzip(dumped.entries[0])]);
  assert.equal(statSync(join(server.data, "transactions", "neo4j")).uid, 65_534);
  await neo4jDriver.settle(second.steps, quiet);
  await neo4jDriver.settle(second.steps, quiet);
  assert.ok(!readdirSync(server.data).some((name) => name.startsWith(".holdfast")));
  await server.start();
  assert.equal(await countPeople(), 500);
  assert.equal(await server.ask("MATCH (p:Person {n: 321})-[l:LIVES_IN]->(c) RETURN l.since"), 321);
  await assert.rejects(server.ask("CREATE (:Person {n: 1})"), /already exists/);
});

/** The other form of a dump, which Neo4j makes where it cannot load its zstd. */
async function packAsGzip(entry: StoredEntry | undefined): Promise<StoredEntry> {
  assert.ok(entry !== undefined);
  const plain = zstdDecompressSync((await readEntry(entry)).subarray(4));
  const packed = storeEntry(entry, Buffer.concat([Buffer.from("DGV1"), gzipSync(plain.subarray(24))]));
  const { contents } = await checkAll(neo4jDriver, [packed], directory);
  assert.deepEqual(contents, (await checkAll(neo4jDriver, dumped.entries, directory)).contents);
  return packed;
}
