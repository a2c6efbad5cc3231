import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { compareContents } from "../../base/contents.ts";
import {
  chromaProgram,
  type ChromaServer,
  collectionsPath,
  countRecords,
  fillCollection,
  openChromaFor,
} from "../../../test/support/chroma.ts";
import { checkAll, dumpAll, each, makeContext, quiet, readEntry, restoreAll, storeEntry } from "../../../test/support/datastore.ts";
import type { SwapStep } from "../contract.ts";
import { chromaDriver } from "./chroma.ts";

class Stop extends Error {}

interface Named {
  readonly id: string;
  readonly name: string;
}

/** Names, counts and what a few records are, as the server tells them; floats that are whole numbers too. */
async function describeServer(server: ChromaServer): Promise<string> {
  const lines: string[] = [];
  for (const { id, name } of (await server.call("GET", collectionsPath)) as readonly Named[]) {
    const some = await fetch(`${server.url}/api/v2${collectionsPath}/${id}/get`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ limit: 5, offset: 0, include: ["documents", "uris"] }),
    });
    lines.push(`${name} ${await countRecords(server, id)} ${await some.text()}`);
  }
  return lines.sort().join("\n");
}

async function openSource(t: TestContext) {
  const { directory, server } = await openChromaFor(t);
  await fillCollection(server, { collection: "memories", from: 0, count: 1_200 });
  const { id } = (await server.call("POST", collectionsPath, {
    name: "odd",
    metadata: { purpose: "test", weight: 2.5 },
    configuration: { hnsw: { space: "cosine", ef_search: 50 } },
  })) as Named;
  // By hand: 2.0 is a float, and 9007199254740993 fits no double.
  await fetch(`${server.url}/api/v2${collectionsPath}/${id}/add`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"ids":["ü/1","b"],"embeddings":[[0.1,0.2,0.7],[3,2,1]],"documents":["line\\nbreak",null],"metadatas":[{"float":2.0,"big":9007199254740993,"yes":true},null],"uris":["file:///x",null]}',
  });
  await server.call("POST", collectionsPath, { name: "empty" });
  return { directory, server, id, options: { url: server.url, server: chromaProgram, samples: 12, waitFor: "100ms" } };
}

async function change(server: ChromaServer, id: string): Promise<void> {
  await server.call("POST", `${collectionsPath}/${id}/delete`, { ids: ["b"] });
  await server.call("DELETE", `${collectionsPath}/empty`);
  await fillCollection(server, { collection: "later", from: 0, count: 3 });
}

test("an export holds every record with its types, and its restore brings them back beside what came later", async (t) => {
  const { directory, server, id, options } = await openSource(t);
  const before = await describeServer(server);
  const { entries, facts, notes } = await dumpAll(chromaDriver, options, directory);
  assert.deepEqual(
    notes.map(({ level, code }) => `${level} ${code}`),
    ["info live"],
  );
  assert.equal(facts.absent, false);
  assert.match(String(await readEntry(entries[0])), /"float":2\.0/);
  assert.match(String(await readEntry(entries[0])), /"big":9007199254740993/);
  const { contents } = await checkAll(chromaDriver, entries, directory);
  assert.deepEqual(contents.counts, { "records.empty": 0, "records.memories": 1_200, "records.odd": 2 });
  await change(server, id);
  const changed = await describeServer(server);
  assert.notEqual(changed, before);
  const { staged, found, steps } = await restoreAll(chromaDriver, options, directory, entries);
  assert.deepEqual(compareContents(contents, staged), []);
  assert.deepEqual(compareContents(contents, found), []);
  // The export of what was restored is the same, types included.
  const again = await dumpAll(chromaDriver, options, directory);
  assert.deepEqual(compareContents(contents, (await checkAll(chromaDriver, again.entries, directory)).contents), []);
  await chromaDriver.rollBack(steps, quiet, options);
  await chromaDriver.rollBack(steps, quiet, options);
  assert.equal(await describeServer(server), changed);
  const second = await restoreAll(chromaDriver, chromaDriver.deriveOptions(entries), directory, entries);
  await chromaDriver.settle(second.steps, quiet, options);
  await chromaDriver.settle(second.steps, quiet, options);
  assert.equal(await describeServer(server), before);
});

test("G6 a restore that stops before or after any step is rolled back, twice; one that was staged only is cleaned up by either end", async (t) => {
  const { directory, server, id, options } = await openSource(t);
  const { entries } = await dumpAll(chromaDriver, options, directory);
  await change(server, id);
  const changed = await describeServer(server);
  let stops = 0;
  for (let stopAt = 0, ended = false; !ended; stopAt += 1) {
    for (const when of ["before", "after"] as const) {
      const recorded: SwapStep[] = [];
      ended = true;
      const record = (step: SwapStep): void => {
        const isHere = recorded.length === stopAt;
        if (!isHere || when === "after") recorded.push(JSON.parse(JSON.stringify(step)) as SwapStep);
        if (!isHere) return;
        ended = false;
        throw new Stop();
      };
      await restoreAll(chromaDriver, options, directory, entries, { record }).catch((error: unknown) => {
        if (!(error instanceof Stop)) throw error;
      });
      for (let time = 1; time <= 2; time += 1) {
        await chromaDriver.rollBack(recorded, quiet, options);
        assert.equal(await describeServer(server), changed, `stopped ${when} step ${stopAt}`);
      }
      stops += 1;
    }
  }
  assert.ok(stops > 12);
  for (const end of ["rollBack", "settle"] as const) {
    const steps: SwapStep[] = [];
    const datastore = await chromaDriver.configure(options).open(makeContext(directory));
    const record = async (step: SwapStep): Promise<void> => void steps.push(step);
    const session = await datastore.openRestore({ kind: "original" }, { absent: false, record }, quiet);
    await session.stage(each(entries), quiet);
    assert.match(await describeServer(server), /holdfast-\w+-new-3/);
    await chromaDriver[end](steps, quiet, options);
    assert.equal(await describeServer(server), changed);
    await session[Symbol.asyncDispose]();
    await datastore[Symbol.asyncDispose]();
  }
});

test("what an application has made anew under an old name is not lost by a roll-back", async (t) => {
  const { directory, server, options } = await openSource(t);
  const { entries } = await dumpAll(chromaDriver, options, directory);
  const steps: SwapStep[] = [];
  const record = (step: SwapStep): void => {
    if (step["op"] === "chroma-place") throw new Stop();
    steps.push(step);
  };
  await assert.rejects(restoreAll(chromaDriver, options, directory, entries, { record }), Stop);
  await fillCollection(server, { collection: "memories", from: 5_000, count: 1 });
  await assert.rejects(chromaDriver.rollBack(steps, quiet, options), {
    code: "restore-stuck",
    message: /"memories" has been made anew and has records/,
  });
  await server.call("DELETE", `${collectionsPath}/memories`);
  await chromaDriver.rollBack(steps, quiet, options);
  assert.match(await describeServer(server), /^memories 1200 /m);
});

test("G1 a drill loads the export into a private server and queries it; hostile and damaged exports are refused", async (t) => {
  const { directory, server, options } = await openSource(t);
  const { entries } = await dumpAll(chromaDriver, options, directory);
  const { contents } = await checkAll(chromaDriver, entries, directory);
  const before = await describeServer(server);
  const path = join(directory, "drill");
  mkdirSync(path, { mode: 0o700 });
  const { found } = await restoreAll(chromaDriver, options, directory, entries, { target: { kind: "scratch", path } });
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(await describeServer(server), before);
  const whole = String(await readEntry(entries[0]));
  const lines = whole.split("\n");
  const spoilt = [
    whole.slice(0, whole.length / 2),
    lines.slice(0, -2).join("\n"),
    whole.replace("holdfast-chroma-1", "holdfast-chroma-9"),
    whole.replace('"ids":["id0",', '"ids":['),
    [...lines.slice(0, 3), ...lines.slice(4)].join("\n"),
    `${whole}{}\n`,
    "",
  ];
  for (const text of spoilt) {
    const entry = storeEntry(entries[0] ?? assert.fail(), Buffer.from(text));
    await assert.rejects(checkAll(chromaDriver, [entry], directory), { code: "backup-damaged" });
  }
});

test("W5 a server that is away, empty, or refuses the token is told as such; the token is not", async (t) => {
  const { directory, server, options } = await openSource(t);
  const proxy = createServer((incoming, outgoing) => {
    if (incoming.headers.authorization !== "Bearer right") {
      outgoing.writeHead(401).end('{"error":"Unauthorized","message":"no entry"}');
      return;
    }
    const onward = request(
      `${server.url}${incoming.url ?? ""}`,
      { method: incoming.method, headers: { "content-type": "application/json" } },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500);
        answer.pipe(outgoing);
      },
    );
    incoming.pipe(onward);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const address = proxy.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  const { entries } = await dumpAll(chromaDriver, { ...options, url, token: "right" }, directory);
  assert.doesNotMatch(String(await readEntry(entries[0])) + JSON.stringify(entries), /right/);
  for (const more of [{ token: "wrong-token" }, {}, { optional: true }]) {
    await assert.rejects(
      dumpAll(chromaDriver, { ...options, url, ...more }, directory),
      (error: Error & { code?: string; hint?: string }) => {
        assert.equal(error.code, "source-unreadable");
        assert.doesNotMatch(`${error.message} ${error.hint}`, /wrong-token/);
        return true;
      },
    );
  }
  for (const { name } of (await server.call("GET", collectionsPath)) as readonly Named[])
    await server.call("DELETE", `${collectionsPath}/${name}`);
  await assert.rejects(dumpAll(chromaDriver, options, directory), { code: "source-empty" });
  await assert.rejects(dumpAll(chromaDriver, { ...options, database: "misspelt" }, directory), {
    hint: /^Correct `tenant` and `database`/,
  });
  assert.equal((await dumpAll(chromaDriver, { ...options, optional: true }, directory)).facts.absent, true);
  await server.stop();
  await assert.rejects(dumpAll(chromaDriver, options, directory), { code: "source-missing" });
  assert.equal((await dumpAll(chromaDriver, { ...options, optional: true }, directory)).facts.absent, true);
});

test("records that are added and removed while an export reads leave out none that stays", async (t) => {
  const { directory, server, options } = await openSource(t);
  const [memories] = ((await server.call("GET", collectionsPath)) as readonly Named[]).filter(({ name }) => name === "memories");
  const id = memories?.id ?? assert.fail();
  let removed: Promise<unknown> | undefined;
  const { entries, notes } = await dumpAll(chromaDriver, options, directory, {
    firstBytes: () => {
      removed = server.call("POST", `${collectionsPath}/${id}/delete`, {
        ids: Array.from({ length: 100 }, (_, index) => `id${index * 2}`),
      });
    },
  });
  await removed;
  const text = String(await readEntry(entries[0]));
  for (let index = 200; index < 1_200; index += 1) assert.ok(text.includes(`"id${index}"`), `id${index}`);
  await checkAll(chromaDriver, entries, directory);
  assert.ok(notes.length >= 1);
});
