import assert from "node:assert/strict";
import { cpSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chromaProgram } from "../../../test/support/chroma.ts";
import { makeChromaData } from "../../../test/support/chroma-fixture.ts";
import { dumpAll, listLeftovers, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { makeDocker } from "../../../test/support/docker-stand-in.ts";
import { chromaDriver } from "./chroma.ts";

test("W1 W6 data in a Docker volume is found by the engine, backed up, and restored into the directory that containers hold", async (t) => {
  const base = makeTestDirectory(t);
  const mountpoint = join(base, "volumes", "site_chroma_data", "_data");
  mkdirSync(join(base, "volumes", "site_chroma_data"), { recursive: true });
  cpSync(await makeChromaData(), mountpoint, { recursive: true });
  const docker = makeDocker(join(makeTestDirectory(t), "bin"), { containers: {}, volumes: { site_chroma_data: { mountpoint } } });
  const before = process.env["PATH"];
  process.env["PATH"] = `${docker.directory}:${before ?? ""}`;
  t.after(() => {
    process.env["PATH"] = before;
  });
  const options = { path: { volume: "site_chroma_data" }, server: chromaProgram, samples: 12 };
  const configured = chromaDriver.configure(options);
  assert.deepEqual(configured.sourcePaths, [], "nobody has asked yet");
  const { entries, facts } = await dumpAll(chromaDriver, options, base);
  assert.deepEqual([entries[0]?.sourcePath, facts.contents?.facts["indexes"]], [mountpoint, "proven by queries"]);
  assert.deepEqual(chromaDriver.configure(options).sourcePaths, [mountpoint]);
  assert.deepEqual(await configured.identify(quiet), {
    id: `chroma:${mountpoint}`,
    paths: [mountpoint, "/docker/volume/site_chroma_data"],
  });
  writeFileSync(join(mountpoint, "new"), "");
  const { ino } = statSync(mountpoint);
  const { steps } = await restoreAll(chromaDriver, options, base, entries);
  assert.throws(() => statSync(join(mountpoint, "new")));
  assert.equal(statSync(mountpoint).ino, ino, "a container that is started again sees what was restored");
  await chromaDriver.rollBack(steps, quiet);
  assert.ok(statSync(join(mountpoint, "new")).isFile());
  assert.deepEqual(listLeftovers(join(base, "volumes")), []);

  const gone = { path: { volume: "site_other" } };
  await assert.rejects(dumpAll(chromaDriver, gone, base), { code: "source-missing", message: /Cannot dump "member".*site_other/ });
  await using absent = await chromaDriver.configure({ ...gone, optional: true }).open(makeContext(base));
  assert.equal((await absent.probe(quiet)).absent, true);
});
