import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { cpSync, readdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { compareContents } from "../../base/contents.ts";
import {
  chromaProgram,
  type ChromaServer,
  collectionsPath,
  createVector,
  fillCollection,
  openChromaFor,
} from "../../../test/support/chroma.ts";
import { makeChromaData } from "../../../test/support/chroma-fixture.ts";
import {
  checkAll,
  dumpAll,
  each,
  makeContext,
  makeTestDirectory,
  quiet,
  readEntry,
  restoreAll,
  storeEntry,
} from "../../../test/support/datastore.ts";
import { runShell } from "../../../test/support/trees.ts";
import { chromaDriver } from "./chroma.ts";

/* Data that is unusual and not wrong, which must be backed up; and directories that lead elsewhere, which must not. */

async function makeCollection(server: ChromaServer, name: string, space: string): Promise<string> {
  const made = (await server.call("POST", collectionsPath, { name, configuration: { hnsw: { space } } })) as { readonly id: string };
  return `${collectionsPath}/${made.id}`;
}

const apiOptions = (url: string) => ({ url, server: chromaProgram, samples: 12, waitFor: "100ms" });

test("the text of records may hold every character, line separators of Unicode among them", async (t) => {
  const { directory, server } = await openChromaFor(t);
  const path = await makeCollection(server, "texts", "l2");
  const documents = ["a\u2028b", "c\u2029d", "e\u0085f\rg\r\nh\u0000i", "\ufeff😀"];
  const ids = ["one\u2028", "two", "three", "four"];
  await server.call("POST", `${path}/add`, {
    ids,
    embeddings: ids.map((_, index) => createVector(index, 3)),
    documents,
    metadatas: [{ __proto__x: 1, rawJSON: "x" }, null, { word: "\u2028" }, null],
  });
  const dumped = await dumpAll(chromaDriver, apiOptions(server.url), directory);
  const checked = await checkAll(chromaDriver, dumped.entries, directory);
  assert.equal(checked.contents.counts["records.texts"], 4);
  await server.call("DELETE", `${collectionsPath}/texts`);
  const { found } = await restoreAll(chromaDriver, apiOptions(server.url), directory, dumped.entries);
  assert.deepEqual(compareContents(checked.contents, found), []);
});

test("records that are not the nearest to their own vectors are found: inner products of short vectors, and vectors of noughts", async (t) => {
  const { directory, server } = await openChromaFor(t);
  const spaces = { ip: await makeCollection(server, "short", "ip"), cosine: await makeCollection(server, "noughts", "cosine") };
  for (const [space, path] of Object.entries(spaces))
    for (let at = 0; at < 1_500; at += 500) {
      const numbers = Array.from({ length: 500 }, (_, offset) => at + offset);
      await server.call("POST", `${path}/add`, {
        ids: numbers.map((number) => `id${number}`),
        embeddings: numbers.map((number) =>
          createVector(number, 16).map((value) => (space === "ip" ? value * 0.05 : number % 2 === 0 ? 0 : value)),
        ),
      });
    }
  const { facts } = await dumpAll(chromaDriver, { path: server.data, server: chromaProgram, samples: 24 }, directory);
  // An index of this kind is approximate: a few may be missed, and are told.
  assert.ok(Number(facts.contents?.facts["missed"]) <= 2);
  const exported = await dumpAll(chromaDriver, apiOptions(server.url), directory);
  await restoreAll(chromaDriver, apiOptions(server.url), directory, exported.entries);
});

test("a record that is removed and added again while it is read stands once in an export", async (t) => {
  const { directory, server } = await openChromaFor(t);
  const id = await fillCollection(server, { collection: "busy", from: 0, count: 1_300, dimension: 8 });
  let pages = 0;
  const proxy = createServer((asked, answer) => {
    const pass = async (): Promise<void> => {
      const isPage = asked.url?.endsWith("/get") === true;
      if (isPage && (pages += 1) === 2) {
        await server.call("POST", `${collectionsPath}/${id}/delete`, { ids: ["id3"] });
        await server.call("POST", `${collectionsPath}/${id}/add`, { ids: ["id3"], embeddings: [createVector(3, 8)], documents: ["later"] });
      }
      const { host: _, ...headers } = asked.headers;
      const sent = request(`${server.url}${asked.url}`, { method: asked.method ?? "GET", headers }, (got) => {
        answer.writeHead(got.statusCode ?? 500, got.headers);
        got.pipe(answer);
      });
      asked.pipe(sent);
    };
    void pass();
  });
  await new Promise<void>((resolve) => void proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const dumped = await dumpAll(chromaDriver, apiOptions(`http://127.0.0.1:${port}`), directory);
  assert.ok(pages > 2);
  assert.equal((await readEntry(dumped.entries[0])).toString().match(/"id3"/g)?.length, 1);
  const { staged, found } = await restoreAll(chromaDriver, apiOptions(server.url), directory, dumped.entries);
  assert.deepEqual(compareContents(staged, found), []);
});

test("what a client writes between the backup before a restore and the swap is not put aside unsaved", async (t) => {
  const { directory, server } = await openChromaFor(t);
  const id = await fillCollection(server, { collection: "busy", from: 0, count: 600, dimension: 8 });
  const options = apiOptions(server.url);
  const { entries } = await dumpAll(chromaDriver, options, directory);
  const { contents } = await checkAll(chromaDriver, entries, directory);
  const saved = { status: "ok", contents, entries: [] } as const;
  await using datastore = await chromaDriver.configure(options).open(makeContext(directory));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, record: async () => undefined }, quiet);
  await session.stage(each(entries), quiet);
  await session.assertSaved?.(saved, quiet);
  const refusal = { code: "target-unsafe", message: /busy/ };
  await server.call("POST", `${collectionsPath}/${id}/update`, { ids: ["id599"], documents: ["changed"] });
  await assert.rejects(async () => session.assertSaved?.(saved, quiet), refusal);
  await server.call("POST", `${collectionsPath}/${id}/update`, { ids: ["id599"], documents: ["document 599 of busy"] });
  await session.assertSaved?.(saved, quiet);
  await fillCollection(server, { collection: "busy", from: 600, count: 1, dimension: 8 });
  await assert.rejects(async () => session.assertSaved?.(saved, quiet), refusal);
});

async function makeLinked(t: TestContext) {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  cpSync(await makeChromaData(), data, { recursive: true, preserveTimestamps: true });
  const segment = readdirSync(data).find((name) => /^[0-9a-f-]{36}$/.test(name)) ?? "";
  renameSync(join(data, segment), join(directory, "elsewhere"));
  symlinkSync(join(directory, "elsewhere"), join(data, segment));
  const options = { path: data, server: chromaProgram, samples: 12 };
  const state = (): string => runShell("find . -printf '%p %i %s %T@ %C@\\n' | sort", join(directory, "elsewhere"));
  return { directory, data, options, state };
}

for (const copying of ["live", "stopped"] as const)
  test(`an index that is a link is refused, not backed up as a link, nor opened by a private server (${copying})`, async (t) => {
    const { directory, options, state } = await makeLinked(t);
    const before = state();
    await assert.rejects(dumpAll(chromaDriver, options, directory, { context: { copying } }), {
      code: "source-unreadable",
      message: /is a link/,
    });
    assert.equal(state(), before);
  });

test("F57 a backup in which an index or the database is a link is refused before anything opens it", async (t) => {
  const { directory, data, options, state } = await makeLinked(t);
  const before = state();
  const tar = join(directory, "hostile.tar");
  const store = (): ReturnType<typeof storeEntry> => {
    runShell(`tar --format=posix --sort=name -cf ${tar} .`, data);
    return storeEntry({ name: "member.tar", form: "tree", sourcePath: data }, readFileSync(tar));
  };
  const place = { ...options, path: join(directory, "place") };
  await assert.rejects(restoreAll(chromaDriver, place, directory, [store()]), { code: "backup-damaged", message: /is a link/ });
  renameSync(join(data, "chroma.sqlite3"), join(directory, "elsewhere", "other.sqlite3"));
  symlinkSync(join(directory, "elsewhere", "other.sqlite3"), join(data, "chroma.sqlite3"));
  const second = state();
  await assert.rejects(restoreAll(chromaDriver, place, directory, [store()]), { code: "backup-damaged", message: /is a link/ });
  assert.equal(state(), second);
  assert.notEqual(before, "");
});
