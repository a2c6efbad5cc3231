import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { chromaProgram, collectionsPath, createNumbers, openChroma, type ChromaServer } from "../../../test/support/chroma.ts";
import { dumpAll, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { chromaDriver } from "./chroma.ts";
import { assertWhole, describeProof, examineCopy } from "./examine-copy.ts";
import { judgeMisses } from "./judge-misses.ts";
import type { IndexProof } from "./prove-indexes.ts";

/** Of a collection with 40 samples, 10 of them the last ones, beside one of which all is found. */
function createProof(missed: { readonly newest: number; readonly others: number }): IndexProof {
  const place = { tenant: "default_tenant", database: "default_database", id: "", name: "memories", records: 1_000 };
  const miss = (isNewest: boolean) => (_: unknown, index: number) =>
    ({ collection: "memories", place, id: `${isNewest ? "new" : "old"}${index}`, vector: [], isNewest }) as const;
  return {
    queried: 440,
    lost: [],
    missed: [...Array.from({ length: missed.newest }, miss(true)), ...Array.from({ length: missed.others }, miss(false))],
    asked: { memories: { all: 40, newest: 10 }, others: { all: 400, newest: 100 } },
    digest: "",
  };
}

const isBroken = (newest: number, others: number, known?: number): boolean =>
  judgeMisses(createProof({ newest, others }), known).broken.length > 0;

test("W5 what is missed is judged for each collection, the last records more strictly, and a restored copy by what was missed before", () => {
  assert.deepEqual([isBroken(0, 0), isBroken(0, 10), isBroken(0, 11)], [false, false, true], "a quarter of its own samples, not of all");
  assert.deepEqual([isBroken(3, 0), isBroken(4, 0)], [false, true], "a third of the last ones");
  assert.deepEqual([isBroken(0, 9, 0), isBroken(0, 10, 0), isBroken(4, 20, 20)], [false, true, false]);
});

const vectorOf = (seed: number): readonly number[] => {
  const [centre, own] = [createNumbers((seed % 20) + 7), createNumbers(seed + 99)];
  return Array.from({ length: 64 }, () => centre() * 10 + own() * 0.05);
};

const count = 3_000;

/**
 * A clustered collection with few ways between its records, each of which was replaced or changed: the server itself does not find all by
 * their vectors then. All is in the files, as each of the numbers written is a multiple of what is flushed at once.
 */
async function openWornServer(directory: string): Promise<ChromaServer> {
  const server = await openChroma(join(directory, "data"));
  const configuration = {
    hnsw: { space: "l2", sync_threshold: 250, batch_size: 50, max_neighbors: 6, ef_construction: 12, ef_search: 12 },
  };
  const { id } = (await server.call("POST", collectionsPath, { name: "memories", configuration })) as { readonly id: string };
  const write = async (verb: string, numbers: readonly number[], from: number): Promise<void> => {
    for (let at = 0; at < numbers.length; at += 250) {
      const some = numbers.slice(at, at + 250);
      const embeddings = verb === "delete" ? {} : { embeddings: some.map((number) => vectorOf(number + from)) };
      await server.call("POST", `${collectionsPath}/${id}/${verb}`, { ids: some.map((number) => `id${number}`), ...embeddings });
    }
  };
  const all = Array.from({ length: count }, (_, number) => number);
  await write("add", all, 0);
  const isLast = (number: number): boolean => number % 4 === 3;
  for (let round = 0; round < 3; round += 1) {
    const some = all.filter((number) => number % 4 === round);
    await write("delete", some, 0);
    await write("update", all.filter(isLast), 5_000 * (round + 1));
    await write("add", some, 50_000);
  }
  return server;
}

/** Takes away the ways between the records of an index, and leaves the vectors. */
function cutLinks(copy: string): void {
  for (const segment of readdirSync(copy).filter((name) => /^[0-9a-f]{8}-/.test(name))) {
    const header = readFileSync(join(copy, segment, "header.bin"));
    const elementBytes = Number(header.readBigUInt64LE(28));
    const path = join(copy, segment, "data_level0.bin");
    const data = readFileSync(path);
    for (let at = 0; at < data.length; at += elementBytes) data.writeUInt16LE(0, at);
    writeFileSync(path, data);
  }
}

describe("a server that does not find all of its records itself", () => {
  const examine = async (t: TestContext, root: string, url?: string) =>
    await examineCopy(
      {
        root,
        stagingDir: makeTestDirectory(t),
        samples: 400,
        options: { server: chromaProgram },
        source: url === undefined ? undefined : { url, headers: {} },
      },
      quiet,
    );

  test(
    "W5 is backed up and restored: what is missed is missed there, too; a copy that misses more is none",
    { timeout: 240_000 },
    async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openWornServer(directory);
      const options = { path: server.data, server: chromaProgram, samples: 400 };
      const alone = await dumpAll(chromaDriver, options, directory);
      const missed = Number(alone.facts.contents?.facts["missed"]);
      t.diagnostic(`${missed} of ${String(alone.facts.contents?.facts["queried"])} missed`);
      assert.ok(missed > 0);
      assert.deepEqual(
        alone.notes.filter(({ code }) => code === "index-misses").map(({ level }) => level),
        ["partial"],
      );
      const asked = await dumpAll(chromaDriver, { ...options, url: server.url }, directory);
      assert.deepEqual(
        asked.notes.filter(({ code }) => code === "index-misses").map(({ level }) => level),
        ["warning"],
      );
      const entries = asked.entries.map((entry) => ({
        ...entry,
        ...(asked.facts.contents === undefined ? {} : { contents: asked.facts.contents }),
      }));
      const path = join(directory, "copy");
      await restoreAll(chromaDriver, options, directory, entries, { target: { kind: "directory", path } });
      const copy = join(path, "member");
      const broken = join(directory, "broken");
      cpSync(copy, broken, { recursive: true });
      cutLinks(broken);
      for (const url of [undefined, server.url]) {
        const examined = await examine(t, broken, url);
        assert.deepEqual([examined.faults, examined.proof?.lost], [[], []], "each vector is there");
        assert.throws(() => assertWhole(examined, "source-corrupt", ""), {
          code: "source-corrupt",
          message: url === undefined ? /of the \d+ last records/ : /the server finds \d+ of \d+/,
        });
      }
      // One that does not answer judges nothing.
      const unasked = await examine(t, copy, "http://127.0.0.1:1");
      assert.deepEqual(
        describeProof(unasked).map(({ level }) => level),
        ["partial"],
      );
    },
  );
});
