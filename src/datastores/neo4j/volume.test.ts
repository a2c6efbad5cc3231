import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { dumpAll, listLeftovers, makeTestDirectory, quiet, restoreAll, storeEntry } from "../../../test/support/datastore.ts";
import { makeDocker, type Volumes } from "../../../test/support/docker-stand-in.ts";
import { runShell } from "../../../test/support/trees.ts";
import { neo4jDriver } from "./neo4j.ts";

/* What needs no Java; with one, see neo4j.test.ts: a directory that has been found is a directory like any other. */

/** As the image of Neo4j has it: its volume is the data directory, and a container holds it. */
function makeVolume(
  t: TestContext,
  name: string,
  volumes: (mountpoint: string) => Volumes,
): { readonly base: string; readonly mountpoint: string } {
  const base = makeTestDirectory(t);
  const mountpoint = join(base, "volumes", name, "_data");
  mkdirSync(mountpoint, { recursive: true });
  runShell("mkdir -p databases/neo4j transactions/neo4j; echo nodes > databases/neo4j/store; chown -R 7474:7474 .", mountpoint);
  const docker = makeDocker(join(base, "docker"), { containers: {}, volumes: volumes(mountpoint) });
  const { PATH } = process.env;
  process.env["PATH"] = `${docker.directory}:${PATH ?? ""}`;
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  return { base, mountpoint };
}

test("W1 the data directory may be a volume, which a restore keeps: a container holds it", async (t) => {
  const { base, mountpoint } = makeVolume(t, "graph", (at) => ({ graph: { mountpoint: at } }));
  const options = { data: { volume: "graph" }, method: "archive", prove: "files" };
  const configured = neo4jDriver.configure(options);
  assert.deepEqual(configured.sourcePaths, [], "nobody has asked yet");
  const { entries } = await dumpAll(neo4jDriver, options, base, { context: { copying: "stopped" } });
  assert.deepEqual(neo4jDriver.configure(options).sourcePaths, [mountpoint]);
  assert.equal(entries[0]?.sourcePath, mountpoint);
  assert.deepEqual(await configured.identify(quiet), { id: `neo4j:${mountpoint}`, paths: [mountpoint, "/docker/volume/graph"] });
  writeFileSync(join(mountpoint, "databases/neo4j/store"), "changed");
  const { ino } = statSync(mountpoint);
  const { steps } = await restoreAll(neo4jDriver, options, base, entries);
  assert.equal(readFileSync(join(mountpoint, "databases/neo4j/store"), "utf8"), "nodes\n");
  assert.deepEqual([statSync(mountpoint).ino, statSync(join(mountpoint, "databases/neo4j/store")).uid], [ino, 7474]);
  await neo4jDriver.rollBack(steps, quiet);
  assert.deepEqual([readFileSync(join(mountpoint, "databases/neo4j/store"), "utf8"), statSync(mountpoint).ino], ["changed", ino]);
  assert.deepEqual(listLeftovers(join(base, "volumes")), []);
});

test("W1 of a volume that is found one database has a key of its own, by path and by name", async (t) => {
  const { mountpoint } = makeVolume(t, "one", (at) => ({ one: { mountpoint: at } }));
  const { id, paths } = await neo4jDriver.configure({ data: { volume: "one" } }).identify(quiet);
  assert.equal(id, `neo4j:${mountpoint}/databases/neo4j`);
  assert.deepEqual(paths, [
    `${mountpoint}/databases/neo4j`,
    `${mountpoint}/transactions/neo4j`,
    "/docker/volume/one/databases/neo4j",
    "/docker/volume/one/transactions/neo4j",
  ]);
});

test("W5 a volume that is not there is told as such, and is absent where it may be; there is no restore into it, and a drill needs none", async (t) => {
  const { base } = makeVolume(t, "other", (at) => ({ other: { mountpoint: at } }));
  const options = { data: { volume: "gone" }, method: "archive", prove: "files" };
  await assert.rejects(dumpAll(neo4jDriver, options, base), { code: "source-missing", message: /gone/ });
  assert.equal((await dumpAll(neo4jDriver, { ...options, optional: true }, base)).facts.absent, true);
  const entry = storeEntry({ name: "neo4j_backup.tar", form: "tree", sourcePath: "/data" }, Buffer.alloc(10_240));
  await assert.rejects(restoreAll(neo4jDriver, options, base, [entry]), { code: "source-missing" });
  const { entries } = await dumpAll(neo4jDriver, { ...options, data: { volume: "other" } }, base, { context: { copying: "stopped" } });
  const path = join(base, "drill");
  mkdirSync(path);
  await restoreAll(neo4jDriver, options, base, entries, { target: { kind: "scratch", path } });
});
