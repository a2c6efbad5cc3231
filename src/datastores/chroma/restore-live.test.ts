import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, cpSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareContents } from "../../base/contents.ts";
import { chromaProgram, collectionsPath, countRecords, fillCollection, openChroma } from "../../../test/support/chroma.ts";
import { makeChromaData } from "../../../test/support/chroma-fixture.ts";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { isRunning } from "../../../test/support/processes.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import type { SwapStep } from "../contract.ts";
import { chromaDriver } from "./chroma.ts";
import { findServers } from "./find-server.ts";

test("G6 a restore is refused while the server runs, made while it stands still, and confirmed by its answers", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openChroma(join(directory, "data"));
  const id = await fillCollection(server, { collection: "memories", from: 0, count: 1_300 });
  const options = { path: server.data, url: server.url, server: chromaProgram, samples: 12, waitFor: "1500ms" };
  const { entries: dumped } = await dumpAll(chromaDriver, options, directory);
  const { contents } = await checkAll(chromaDriver, dumped, directory);
  const entries = dumped.map((entry) => ({ ...entry, contents }));
  await fillCollection(server, { collection: "memories", from: 1_300, count: 300 });
  await fillCollection(server, { collection: "later", from: 0, count: 3 });
  await assert.rejects(restoreAll(chromaDriver, options, directory, entries), { code: "target-in-use", message: /processes \d+/ });
  {
    await using live = await chromaDriver.configure(options).open(makeContext(directory));
    await using planned = await live.openRestore({ kind: "original" }, { absent: false }, quiet);
    const { users, notes } = await planned.inspect(quiet);
    assert.ok(users.length > 0);
    assert.match(
      notes.map(({ message }) => message).join(),
      /^Processes \d+.* have it open: the restore is refused while they run\. Stop the/,
    );
  }
  assert.equal(await countRecords(server, id), 1_600);
  // By another name of the database alone, as from within a container.
  const other = join(directory, "other-name");
  linkSync(join(server.data, "chroma.sqlite3"), other);
  const holder = openSync(other, "r");
  const sleeper = spawn("sleep", ["60"], { stdio: [holder, "ignore", "ignore"] });
  closeSync(holder);
  await once(sleeper, "spawn");
  assert.ok(findServers(server.data).includes(sleeper.pid ?? 0));
  const gone = once(sleeper, "close");
  sleeper.kill();
  await gone;
  rmSync(other);
  await server.stop();
  await using datastore = await chromaDriver.configure(options).open(makeContext(directory));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  assert.deepEqual((await session.inspect(quiet)).notes, []);
  const staged = await session.stage(each(entries), quiet);
  assert.deepEqual(compareContents(contents, staged), []);
  await session.swap(() => Promise.resolve(), quiet);
  assert.equal(await session.confirm?.(quiet), "unknown", "nobody answers yet");
  await server.start();
  assert.equal(await session.confirm?.(quiet), "proven");
  assert.equal(await countRecords(server, id), 1_300);
  await server.call("DELETE", `${collectionsPath}/memories`);
  await assert.rejects(session.confirm?.(quiet) ?? assert.fail(), {
    code: "restore-failed",
    message: /does not have the restored collections: memories/,
  });
});

test("G6 a server that is started while the directories change their names is found before the old one goes away", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  cpSync(await makeChromaData(), data, { recursive: true });
  const options = { path: data, server: chromaProgram, samples: 12 };
  const { entries } = await dumpAll(chromaDriver, options, directory);
  let holder: ReturnType<typeof spawn> | undefined;
  const record = (step: SwapStep, steps: SwapStep[]): void => {
    steps.push(step);
    if (step["op"] !== "aside") return;
    const file = openSync(join(data, "chroma.sqlite3"), "r");
    holder = spawn("sleep", ["60"], { stdio: [file, "ignore", "ignore"] });
    closeSync(file);
  };
  try {
    await assert.rejects(restoreAll(chromaDriver, options, directory, entries, { record }), { code: "target-in-use" });
  } finally {
    holder?.kill();
  }
});

test("G1 a drill queries the copy: without a server program it fails; other vectors than the manifest's are found", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  cpSync(await makeChromaData(), data, { recursive: true });
  const options = { path: data, server: chromaProgram, samples: 12 };
  const { entries, facts } = await dumpAll(chromaDriver, options, directory);
  const contents = facts.contents ?? assert.fail();
  const drill = async (name: string, given: unknown, digest?: string): Promise<unknown> => {
    const path = join(directory, name);
    mkdirSync(path, { mode: 0o700 });
    const changed = digest === undefined ? contents : { ...contents, facts: { ...contents.facts, samplesDigest: digest } };
    const stored = entries.map((entry) => ({ ...entry, contents: changed }));
    return (await restoreAll(chromaDriver, given, directory, stored, { target: { kind: "scratch", path } })).found.facts["indexes"];
  };
  assert.equal(await drill("with", options), "proven by queries");
  await assert.rejects(drill("other", options, "0".repeat(64)), { code: "backup-damaged", message: /have other vectors/ });
  await assert.rejects(drill("without", chromaDriver.deriveOptions(entries)), { code: "tool-missing" });
});

test("an export that goes into a directory is the file itself, and compared", async (t) => {
  const directory = makeTestDirectory(t);
  await using server = await openChroma(join(directory, "data"));
  await fillCollection(server, { collection: "few", from: 0, count: 10 });
  const { entries } = await dumpAll(chromaDriver, { url: server.url, entry: "vectors" }, directory);
  const { contents } = await checkAll(chromaDriver, entries, directory);
  const path = join(directory, "out");
  mkdirSync(path);
  const { found } = await restoreAll(chromaDriver, chromaDriver.deriveOptions(entries), directory, entries, {
    target: { kind: "directory", path },
  });
  assert.deepEqual(compareContents(contents, found), []);
  assert.deepEqual(readdirSync(path), ["vectors.jsonl"]);
});

test("F1 the private server dies with a process that is killed, at any moment", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  cpSync(await makeChromaData(), data, { recursive: true });
  const program = join(directory, "dump.ts");
  const modules = import.meta.dirname;
  writeFileSync(
    program,
    `import { chromaDriver } from ${JSON.stringify(join(modules, "chroma.ts"))};
const signal = new AbortController().signal;
for (;;) {
  await using datastore = await chromaDriver.configure(${JSON.stringify({ path: data, server: chromaProgram, samples: 500 })}).open({ name: "x", stagingDir: ${JSON.stringify(makeTestDirectory(t))}, progress: () => undefined });
  await datastore.dump(signal).next();
}`,
  );
  const child = spawn(process.execPath, [program], { stdio: "inherit" });
  const ended = once(child, "close");
  const findServers = (): readonly number[] =>
    readdirSync("/proc").flatMap((name) => {
      try {
        const line = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, "latin1") : "";
        const isOurs = line.includes("chroma\0run\0") && readFileSync(`/proc/${name}/status`, "utf8").includes(`PPid:\t${child.pid}\n`);
        return isOurs ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  let pids: readonly number[] = [];
  await waitUntil("a private server", () => (pids = findServers()).length > 0);
  child.kill("SIGKILL");
  await ended;
  await waitUntil("its end", () => !pids.some(isRunning));
});
