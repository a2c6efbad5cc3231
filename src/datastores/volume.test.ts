import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test, type TestContext } from "node:test";
import { dumpAll, listLeftovers, makeTestDirectory, quiet, restoreAll } from "../../test/support/datastore.ts";
import { makeDocker, type StandIn, type Volumes } from "../../test/support/docker-stand-in.ts";
import { findDatastoreDriver } from "./registry.ts";
import { describeDirectory, directoryField, findDirectory, identifyDirectory, listKnownPaths } from "./volume.ts";

const filesDatastore = findDatastoreDriver("files");

/** A Docker client in this process's PATH, with one volume on this machine and others. Volumes are known by name: each test has its own. */
function openDocker(t: TestContext, volumes: Volumes): StandIn {
  const docker = makeDocker(join(makeTestDirectory(t), "bin"), { containers: {}, volumes });
  const before = process.env["PATH"];
  process.env["PATH"] = `${docker.directory}:${before ?? ""}`;
  t.after(() => {
    process.env["PATH"] = before;
  });
  return docker;
}

/** A volume's directory as the engine makes it. */
function makeVolume(directory: string, name: string): string {
  const path = join(directory, "volumes", name, "_data");
  mkdirSync(join(path, "inner"), { recursive: true });
  writeFileSync(join(path, "one"), "one");
  writeFileSync(join(path, "inner", "two"), "two");
  return path;
}

test("W1 a tree in a Docker volume is found by the engine, backed up, and restored into the directory that containers hold", async (t) => {
  const base = makeTestDirectory(t);
  const mountpoint = makeVolume(base, "chroma");
  const docker = openDocker(t, { chroma: { mountpoint } });
  const options = { root: { volume: "chroma" } };
  const configured = filesDatastore.configure(options);
  assert.deepEqual(configured.sourcePaths, [], "nobody has asked yet");
  const { entries } = await dumpAll(filesDatastore, options, base);
  assert.deepEqual(filesDatastore.configure(options).sourcePaths, [mountpoint], "checks of the sandbox know it now");
  assert.equal(entries[0]?.sourcePath, mountpoint);
  assert.deepEqual(await configured.identify(quiet), { id: `files:${mountpoint}`, paths: [mountpoint, "/docker/volume/chroma"] });
  assert.equal(docker.readCalls().length, 1, "one question is enough");

  writeFileSync(join(mountpoint, "one"), "changed");
  writeFileSync(join(mountpoint, "new"), "");
  const { ino } = statSync(mountpoint);
  const { steps } = await restoreAll(filesDatastore, options, base, entries);
  assert.equal(readFileSync(join(mountpoint, "one"), "utf8"), "one");
  assert.throws(() => statSync(join(mountpoint, "new")));
  assert.equal(statSync(mountpoint).ino, ino, "a container that runs, or one that starts again, sees what was restored");
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(readFileSync(join(mountpoint, "one"), "utf8"), "changed");
  assert.equal(statSync(mountpoint).ino, ino);
  assert.deepEqual(listLeftovers(join(base, "volumes")), []);

  const inner = { root: { volume: "chroma", path: "inner" } };
  const dumped = await dumpAll(filesDatastore, inner, base);
  writeFileSync(join(mountpoint, "inner", "two"), "changed");
  await restoreAll(filesDatastore, inner, base, dumped.entries);
  assert.equal(readFileSync(join(mountpoint, "inner", "two"), "utf8"), "two");
  assert.equal(readFileSync(join(mountpoint, "one"), "utf8"), "changed");
});

test("F57 a link that a container has put into its volume leads Holdfast nowhere", async (t) => {
  const base = makeTestDirectory(t);
  const mountpoint = makeVolume(base, "hostile");
  openDocker(t, { hostile: { mountpoint } });
  symlinkSync("/etc", join(mountpoint, "data"));
  symlinkSync("inner", join(mountpoint, "good"));
  await assert.rejects(findDirectory({ volume: "hostile", path: "data/ssh" }, quiet), {
    code: "source-unreadable",
    message: /leads out of it, to \/etc/,
  });
  assert.deepEqual(await findDirectory({ volume: "hostile", path: "good" }, quiet), { path: join(mountpoint, "inner"), root: "may-move" });
});

test("W5 an engine that is away, a volume that is not there or not mounted, and one of another machine are told apart", async (t) => {
  const base = makeTestDirectory(t);
  const bound = makeVolume(base, "bound");
  const nfs = { type: "nfs", o: "addr=10.0.0.1", device: ":/export" };
  const docker = openDocker(t, {
    bound: { mountpoint: join(base, "unused"), options: { type: "none", o: "rw,bind", device: bound } },
    nfs: { mountpoint: makeVolume(base, "nfs"), options: nfs },
    remote: { mountpoint: "/var/lib/docker/volumes/of-another-machine/_data" },
    plugin: { mountpoint: "", driver: "rexray" },
  });
  const find = (volume: string) => findDirectory({ volume }, quiet);
  assert.equal((await find("bound")).path, bound);
  await assert.rejects(find("gone"), {
    code: "source-missing",
    message: /"gone": the Docker engine has none of this name/,
    hint: /docker volume ls/,
  });
  await assert.rejects(find("nfs"), { code: "source-unreachable", message: /nfs :\/export.*only while a container uses it/ });
  await assert.rejects(find("remote"), { code: "source-unreadable", message: /of-another-machine\/_data is not on this machine/ });
  await assert.rejects(find("plugin"), { code: "source-unreadable", message: /its driver \(rexray\) does not tell/ });
  docker.change({ engine: "away" });
  await assert.rejects(find("later"), { code: "source-unreachable", retryable: true, message: /the Docker engine does not answer/ });
  assert.deepEqual(await identifyDirectory({ volume: "later", path: "x" }, quiet), {
    name: "/docker/volume/later/x",
    paths: ["/docker/volume/later/x"],
  });
  process.env["PATH"] = "/nowhere:/usr/bin:/bin";
  await assert.rejects(find("never"), { code: "tool-missing" });
  assert.deepEqual(listKnownPaths({ volume: "never" }), []);
});

test("an optional volume that is not there is absent; a drill and another place need none", async (t) => {
  const base = makeTestDirectory(t);
  const mountpoint = makeVolume(base, "moved");
  const docker = openDocker(t, { moved: { mountpoint } });
  const { entries } = await dumpAll(filesDatastore, { root: { volume: "moved" } }, base);
  docker.change({ volumes: {} });
  assert.equal((await dumpAll(filesDatastore, { root: { volume: "other" }, optional: true }, base)).facts.absent, true);
  await assert.rejects(dumpAll(filesDatastore, { root: { volume: "other" } }, base), { code: "source-missing" });
  const path = join(base, "elsewhere");
  mkdirSync(path);
  await restoreAll(filesDatastore, { root: { volume: "other" } }, base, entries, { target: { kind: "directory", path } });
  assert.equal(readFileSync(join(path, basename(entries[0]?.name ?? "", ".tar"), "one"), "utf8"), "one");
});

test("a directory is a path, or a volume with a path that stays in it", () => {
  assert.equal(describeDirectory({ volume: "neo4j_data", path: "databases" }), "databases in the volume neo4j_data");
  for (const good of ["/srv", { volume: "a" }, { volume: "p_a.b-c", path: "x/y" }]) assert.ok(directoryField.safeParse(good).success);
  for (const bad of [
    "srv",
    { volume: "-f" },
    { volume: "a", path: "../b" },
    { volume: "a", path: "/b" },
    { volume: "a", path: "" },
    { path: "b" },
    { volume: "a/b" },
  ])
    assert.ok(!directoryField.safeParse(bad).success, JSON.stringify(bad));
});
