import assert from "node:assert/strict";
import { cpSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import Database from "better-sqlite3";
import { compareContents } from "../../base/contents.ts";
import {
  chromaProgram,
  type ChromaServer,
  collectionsPath,
  createVector,
  fillCollection,
  openChroma,
} from "../../../test/support/chroma.ts";
import { makeChromaData } from "../../../test/support/chroma-fixture.ts";
import { dumpAll, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { runShell } from "../../../test/support/trees.ts";
import { chromaDriver } from "./chroma.ts";
import { assertWhole, examineCopy } from "./examine-copy.ts";

const segmentName = /^[0-9a-f]{8}-/;

/** Adds records until it is stopped, and tells how many there are. */
function startWriter(server: ChromaServer, id: string, from: number) {
  const stop = new AbortController();
  let count = from;
  const running = (async () => {
    while (!stop.signal.aborted) {
      const indexes = Array.from({ length: 10 }, (_, offset) => count + offset);
      await server.call("POST", `${collectionsPath}/${id}/add`, {
        ids: indexes.map((index) => `id${index}`),
        embeddings: indexes.map((index) => createVector(index, 64)),
      });
      count += 10;
      // Else what is asked of each copy below grows to minutes.
      await pause(25);
    }
  })();
  return {
    get count() {
      return count;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** Of one record in seven, those that a server on this directory does not find by their own vectors. */
async function listMisses(data: string, collection: string): Promise<readonly string[]> {
  await using server = await openChroma(data);
  const { id } = (await server.call("GET", `${collectionsPath}/${collection}`)) as { readonly id: string };
  const count = Number(await server.call("GET", `${collectionsPath}/${id}/count`));
  const misses: string[] = [];
  for (let at = 0; at < count; at += 700) {
    const indexes = Array.from({ length: 100 }, (_, offset) => at + offset * 7).filter((index) => index < count);
    const { ids } = (await server.call("POST", `${collectionsPath}/${id}/query`, {
      query_embeddings: indexes.map((index) => createVector(index, 64)),
      n_results: 300, // more neighbours than a search looks at by itself: it is approximate
      include: ["distances"],
    })) as { readonly ids: readonly (readonly string[])[] };
    misses.push(...indexes.filter((index, row) => ids[row]?.includes(`id${index}`) !== true).map((index) => `id${index} of ${count}`));
  }
  return misses;
}

test("F33 20 hot copies under constant writes, across flushes: each restored one answers all queries", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openChroma(join(directory, "data"));
  const id = await fillCollection(server, { collection: "memories", from: 0, count: 500, flushEach: 250 });
  const options = { path: server.data, server: chromaProgram, samples: 12 };
  const copies: string[] = [];
  {
    await using writer = startWriter(server, id, 500);
    for (let copy = 0; copy < 20; copy += 1) {
      const before = writer.count;
      const { entries, facts } = await dumpAll(chromaDriver, options, directory);
      assert.equal(facts.contents?.facts["indexes"], "proven by queries");
      assert.ok((facts.contents?.counts["records.memories"] ?? 0) >= before, "what was acknowledged before is in it");
      const path = join(directory, `copy-${copy}`);
      // Without a private server: all of them are asked below.
      const { found } = await restoreAll(chromaDriver, { path: server.data }, directory, entries, { target: { kind: "directory", path } });
      assert.deepEqual(compareContents(facts.contents, found), []);
      copies.push(join(path, "member"));
    }
    t.diagnostic(`${writer.count - 500} records were added meanwhile, with a flush each 250`);
    assert.ok(writer.count > 500 + 20 * 125, "a flush during every other copy, at the least");
  }
  for (const copy of copies) assert.deepEqual(await listMisses(copy, "memories"), []);
});

describe("copies that are broken", () => {
  const examine = async (t: Parameters<typeof makeTestDirectory>[0], root: string) => {
    const examined = await examineCopy({ root, stagingDir: makeTestDirectory(t), samples: 40, options: { server: chromaProgram } }, quiet);
    return { examined, judge: () => assertWhole(examined, "source-corrupt", "") };
  };

  test("the order index, then database, is caught by queries", async (t) => {
    const directory = makeTestDirectory(t);
    await using server = await openChroma(join(directory, "data"));
    await fillCollection(server, { collection: "memories", from: 0, count: 1_500 });
    const copy = join(directory, "copy");
    cpSync(server.data, copy, { recursive: true });
    await fillCollection(server, { collection: "memories", from: 1_500, count: 2_500 });
    const live = new Database(join(server.data, "chroma.sqlite3"), { readonly: true });
    rmSync(join(copy, "chroma.sqlite3"));
    await live.backup(join(copy, "chroma.sqlite3"));
    live.close();
    const { examined, judge } = await examine(t, copy);
    assert.deepEqual(examined.faults, []);
    assert.ok((examined.proof?.lost.length ?? 0) + (examined.proof?.missed.length ?? 0) > 0);
    assert.throws(judge, { code: "source-corrupt" });
  });

  test("an index that is cut short, or missing, is caught without a server, too", async (t) => {
    const directory = makeTestDirectory(t);
    const spoil = async (name: string, change: (segment: string) => void): Promise<string> => {
      const copy = join(directory, name);
      cpSync(await makeChromaData(), copy, { recursive: true });
      for (const segment of readdirSync(copy).filter((each) => segmentName.test(each))) change(join(copy, segment));
      return copy;
    };
    const cut = await spoil("cut", (segment) =>
      truncateSync(join(segment, "data_level0.bin"), statSync(join(segment, "data_level0.bin")).size / 2),
    );
    const gone = await spoil("gone", (segment) => rmSync(segment, { recursive: true }));
    const empty = await spoil("empty", (segment) => runShell(": > index_metadata.pickle", segment));
    for (const copy of [cut, gone, empty]) {
      const { examined, judge } = await examine(t, copy);
      assert.equal(examined.faults.length, 1, copy);
      assert.throws(judge, { code: "source-corrupt", message: /the index of collection "memories"/ });
    }
  });

  test("W5 a damaged index at the source is an error, and no backup", async (t) => {
    const directory = makeTestDirectory(t);
    const data = join(directory, "data");
    cpSync(await makeChromaData(), data, { recursive: true });
    for (const segment of readdirSync(data).filter((name) => segmentName.test(name))) truncateSync(join(data, segment, "length.bin"), 10);
    await assert.rejects(dumpAll(chromaDriver, { path: data, server: chromaProgram }, directory), {
      code: "source-corrupt",
      message: /^Cannot dump "member": the index of collection "memories" .* has a length.bin of 10 bytes/,
    });
  });
});

test("an idle copy has the owners, rights and times of its source, however the source stands", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  cpSync(await makeChromaData(), data, { recursive: true, preserveTimestamps: true });
  runShell("chown -R 1234:5678 .; chmod 640 chroma.sqlite3; chmod 2750 .; touch -d 2020-02-02 .", data);
  const digests: unknown[] = [];
  for (const copying of ["live", "paused", "stopped"] as const) {
    const path = join(directory, copying);
    const { entries, facts } = await dumpAll(chromaDriver, { path: data, server: chromaProgram }, directory, {
      context: { name: "member", copying, stagingDir: makeTestDirectory(t) },
    });
    await restoreAll(chromaDriver, { path: data, server: chromaProgram }, directory, entries, { target: { kind: "directory", path } });
    assert.equal(
      runShell("find . -printf '%P %m %U:%G %s %T@\\n' | sort", join(path, "member")),
      runShell("find . -printf '%P %m %U:%G %s %T@\\n' | sort", data),
    );
    digests.push(facts.contents?.facts["samplesDigest"]);
  }
  assert.equal(new Set(digests).size, 1);
});

test("without a server program the backup is made, and says what it does not prove", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  cpSync(await makeChromaData(), data, { recursive: true });
  const { facts, notes, entries } = await dumpAll(chromaDriver, { path: data, entry: "chromadb_backup" }, directory);
  assert.deepEqual(
    notes.map(({ level, code }) => `${level} ${code}`),
    ["warning indexes-not-proven"],
  );
  await using datastore = await chromaDriver.configure({ path: data }).open(makeContext(directory));
  assert.match(
    (await datastore.probe(quiet)).notes.map(({ level, message }) => `${level} ${message}`).join(),
    /^warning .* no Chroma server/,
  );
  await using proving = await chromaDriver.configure({ path: data, server: chromaProgram }).open(makeContext(directory));
  assert.deepEqual((await proving.probe(quiet)).notes, []);
  assert.deepEqual([facts.contents?.counts["records.memories"], facts.contents?.counts["records.few"]], [2_400, 20]);
  assert.deepEqual(
    entries.map(({ name, sourcePath }) => [name, sourcePath]),
    [["chromadb_backup.tar", data]],
  );
  await assert.rejects(dumpAll(chromaDriver, { path: data, server: "/nowhere/chroma" }, directory), { code: "tool-missing" });
  await assert.rejects(dumpAll(chromaDriver, { path: data, server: "/bin/false" }, directory), {
    code: "tool-failed",
    message: /private \/bin\/false ended/,
  });
});
