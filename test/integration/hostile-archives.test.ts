import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { HoldfastError } from "../../src/base/errors.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runDrill } from "../../src/operations/drill.ts";
import { runRestore } from "../../src/operations/restore.ts";
import { runVerify } from "../../src/operations/verify.ts";
import { findDatastoreDriver } from "../../src/datastores/registry.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { forgeEntry, forgeManifest, writeTar, type Lie, type TarMember } from "../support/hostile-backup.ts";
import { isLong } from "../support/kill-campaign.ts";
import {
  addressBackup,
  backUp,
  changeWorld,
  copyWorld,
  describeRestore,
  listTree,
  makeWorld,
  never,
  quietPorts,
  readTree,
  worldPaths,
  type DatastoreName,
  type SmallWorld,
} from "../support/small-world.ts";

/** Where an archive that breaks out would write. */
const canaryOf = ({ root }: SmallWorld): string => join(root, "canary");

interface Outcome {
  readonly verify: string;
  readonly drill: string;
  readonly restore: string;
}

let hooks: string | undefined;
before(() => {
  hooks = process.env["HOLDFAST_HOOKS"];
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = hooks;
});

/** Verifies, drills and restores; a refusal gives its code. Nothing outside the target may change, whatever they do. */
async function tryAll(world: SmallWorld, backup: BackupResult, datastores: readonly DatastoreName[]): Promise<Outcome> {
  const { root } = world;
  const { app, staging } = worldPaths(root);
  const canary = readTree(canaryOf(world), "times");
  const outside = listOutside(root);
  const data = readTree(app, "times");
  const setup = { host: "host", version: "0", stagingDir: join(staging, "h"), address: addressBackup(world, backup) };
  const verify = await tellCode(() => runVerify(setup, quietPorts, never));
  const drill = await tellCode(() => runDrill(setup, quietPorts, never));
  assert.equal(readTree(app, "times"), data, "the drill touched the data");
  const restore = await tellCode(() => runRestore(describeRestore(world, backup, datastores), quietPorts, never));
  if (restore !== "ok") assert.equal(readTree(app, "times"), data, `refused with ${restore}, but the data was touched`);
  assert.equal(readTree(canaryOf(world), "times"), canary, "something outside was touched");
  assert.deepEqual(listOutside(root), outside, "something was written beside the data");
  for (const name of listTree(app)) {
    const stats = lstatSync(join(app, name));
    assert.ok(!stats.isBlockDevice() && !stats.isCharacterDevice(), `a device: ${name}`);
    // Of a directory set-id bits are no danger, and groups rely on them.
    if (stats.isFile()) assert.equal(stats.mode & 0o6000, 0, `set-id: ${name}`);
  }
  return { verify, drill, restore };
}

/** The journals of restores may appear. */
function listOutside(root: string): readonly string[] {
  return readdirSync(root)
    .filter((name) => name !== "state")
    .toSorted();
}

async function tellCode(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return "ok";
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    assert.notEqual(error.code, "internal", error.message);
    assert.notEqual(error.code, "restore-stuck", error.message);
    return error.code;
  }
}

async function makeHostileWorld(): Promise<SmallWorld & AsyncDisposable> {
  const world = await makeWorld();
  mkdirSync(canaryOf(world));
  writeFileSync(join(canaryOf(world), "bird"), "sings");
  return world;
}

describe("manifests that are sealed well, and lie", () => {
  const worlds = new AsyncDisposableStack();
  let world: SmallWorld;
  const backups = new Map<DatastoreName, BackupResult>();
  before(async () => {
    world = worlds.use(await makeHostileWorld());
    for (const name of ["loose", "tree", "memory"] as const) backups.set(name, await backUp(world, "directory", [name]));
    changeWorld(world);
  });
  after(async () => await worlds.disposeAsync());

  const firstEntry = (manifest: Lie) => {
    const entry = manifest.members[0]?.entries[0];
    if (entry === undefined) throw new Error("no entry");
    return entry;
  };
  const firstMember = (manifest: Lie) => {
    const member = manifest.members[0];
    if (member === undefined) throw new Error("no member");
    return member;
  };
  const paths = ["../canary/bird", "../../canary/bird", "a/../../../canary/bird", "/etc/canary", "..", ".", "", "a//b", "a/./b", "nul\0"];
  type Title = readonly [string, (manifest: Lie) => unknown];
  const lies: readonly Title[] = [
    ...paths.flatMap((path): readonly Title[] => [
      [`an entry named ${JSON.stringify(path)}`, (manifest) => void (firstEntry(manifest).name = path)],
      [`an object at ${JSON.stringify(path)}`, (manifest) => void (firstEntry(manifest).object = path)],
      [`a datastore named ${JSON.stringify(path)}`, (manifest) => void (firstMember(manifest).datastore = path)],
      [`a backup named ${JSON.stringify(path)}`, (manifest) => void (manifest.name = path)],
    ]),
    ["a text outside", (manifest) => void ((manifest.texts[0] ?? { name: "" }).name = "../canary/bird")],
    ["an index outside", (manifest) => void (firstMember(manifest).index = "../canary/bird")],
    ["a kind that is not known", (manifest) => void (firstMember(manifest).kind = "of-tomorrow")],
    ["a kind named like a property", (manifest) => void (firstMember(manifest).kind = "constructor")],
    [
      "another kind: sqlite",
      (manifest) => void (firstMember(manifest).kind = firstMember(manifest).kind === "sqlite" ? "files" : "sqlite"),
    ],
    ["another form", (manifest) => void (firstEntry(manifest).form = firstEntry(manifest).form === "tree" ? "file" : "tree")],
    ["two entries of one name", (manifest) => void firstMember(manifest).entries.push({ ...firstEntry(manifest) })],
    [
      "a file and a directory of one name",
      (manifest) =>
        void firstMember(manifest).entries.push({ ...firstEntry(manifest), name: `${firstEntry(manifest).name}/x`, object: "x/y" }),
    ],
    ["two members of one name", (manifest) => void manifest.members.push(structuredClone(firstMember(manifest)))],
    ["more bytes than there are", (manifest) => void (firstEntry(manifest).stored.bytes += 1)],
    ["sizes beyond any disk", (manifest) => void (firstEntry(manifest).plain.bytes = Number.MAX_SAFE_INTEGER)],
    ["a negative size", (manifest) => void (firstEntry(manifest).plain.bytes = -1)],
    ["an offset", (manifest) => void (firstEntry(manifest).offset = 0)],
    ["another layout", (manifest) => void (manifest.layout = "file")],
    ["a hidden object", (manifest) => void (firstEntry(manifest).object = ".holdfast-destination.json")],
    ["the manifest as its own object", (manifest) => void (firstEntry(manifest).object = "manifest.json")],
    ["an absence that has entries", (manifest) => void (firstMember(manifest).status = "absent")],
    ["other contents", (manifest) => void (firstMember(manifest).contents = { counts: { files: 99 }, digests: {}, facts: {} })],
    ["members that are no list", (manifest) => ({ ...manifest, members: {} })],
    ["a later format", (manifest) => ({ ...manifest, format: 2 })],
    ["an unknown field", (manifest) => ({ ...manifest, run: "rm" })],
  ];

  for (const name of ["loose", "tree", "memory"] as const) {
    test(`F57 F58 of a backup of ${name}: refused, and nothing is touched`, async () => {
      for (const [title, lie] of lies) {
        await using copy = copyWorld(world);
        const backup = backups.get(name);
        assert.ok(backup);
        forgeManifest(copy, backup, lie);
        const outcome = await tryAll(copy, backup, [name]);
        assert.ok(outcome.verify !== "ok" && outcome.drill !== "ok" && outcome.restore !== "ok", `${title}: ${JSON.stringify(outcome)}`);
      }
    });

    test(`F57 F58 a source path of a backup of ${name} that leads elsewhere leads nowhere`, async () => {
      const sources = ["/", "/etc", "relative", "", "/a/../..", `${world.root}/canary/bird`, `${world.root}/canary`, "nul\0", "*"];
      // Each that is not refused at once starts SQLite a dozen times.
      for (const path of name === "memory" && !isLong ? pickPoints(sources, 3, readSeed()) : sources) {
        await using copy = copyWorld(world);
        const backup = backups.get(name);
        assert.ok(backup);
        forgeManifest(copy, backup, (manifest) => void (firstEntry(manifest).sourcePath = path.replace(world.root, copy.root)));
        await tryAll(copy, backup, [name]);
      }
    });
  }

  test("F57 F58 a tree whose name in a scratch directory would be its parent is refused", async () => {
    for (const name of ["...tar", "..tar", "x/...tar"]) {
      await using copy = copyWorld(world);
      const backup = backups.get("tree");
      assert.ok(backup);
      forgeManifest(copy, backup, (manifest) => void (firstEntry(manifest).name = name));
      const entry = { name, form: "tree", sourcePath: "/x", bytes: 1536, open: () => once(writeTar([{ name: "./", type: "5" }])) } as const;
      const stagingDir = join(copy.root, "tmp");
      await using datastore = await findDatastoreDriver("files")
        .configure({ root: "/x" })
        .open({ name: "x", stagingDir, progress: () => undefined });
      const path = join(copy.root, "canary");
      await using session = await datastore.openRestore({ kind: "directory", path }, { absent: false }, never);
      await assert.rejects(session.stage(once(entry), never), HoldfastError, name);
      assert.notEqual((await tryAll(copy, backup, ["tree"])).drill, "ok", name);
    }
  });

  test("F57 F58 set-id bits and other owners in the attributes are not given to a stranger", async () => {
    await using copy = copyWorld(world);
    const backup = backups.get("loose");
    assert.ok(backup);
    forgeManifest(copy, backup, (manifest) => {
      const { attributes } = firstEntry(manifest);
      if (attributes !== undefined) attributes.mode = 0o6755;
    });
    assert.equal((await tryAll(copy, backup, ["loose"])).restore, "ok");
  });
});

async function* once<T>(value: T): AsyncGenerator<T, void, undefined> {
  yield await Promise.resolve(value);
}

describe("bodies that are more than they say", () => {
  test("F57 decompression ends at the size that the manifest states", async () => {
    await using world = await makeHostileWorld();
    const backup = await backUp(world, "directory", ["loose"], { method: "gzip", level: 6 });
    const bomb = gzipSync(Buffer.alloc(512 << 20), { level: 9 });
    forgeEntry(world, backup, bomb, Buffer.from("x"));
    const before = process.memoryUsage().rss;
    const outcome = await tryAll(world, backup, ["loose"]);
    assert.deepEqual(new Set(Object.values(outcome)), new Set(["backup-damaged"]));
    assert.ok(process.memoryUsage().rss - before < 256 << 20, "it was held in memory");
  });
});

describe("trees that are hostile", () => {
  test("F57 F58 prop-P7 members of every kind and name: nothing outside changes, no device, no set-id", async (t) => {
    await using world = await makeHostileWorld();
    const backup = await backUp(world, "directory", ["tree"], { method: "none" });
    changeWorld(world);
    const seed = readSeed();
    const canary = canaryOf(world);
    const all = listTrees(canary);
    // Most are refused by their first name: those that go further are drawn by themselves.
    const further = all.filter((members) => members.every(({ name }) => ["./a", "./a/bird"].includes(name)));
    const single = further.filter((members) => members.length === 1);
    const chosen = isLong ? all : [...single, ...pickPoints(all, 30, seed), ...pickPoints(further, 30, seed)];
    const counts: Record<string, number> = {};
    for (const members of chosen) {
      await using copy = copyWorld(world);
      const own = members.map((member) => redirect(member, canary, canaryOf(copy)));
      const tar = writeTar([{ name: "./", type: "5", mode: 0o755 }, ...own]);
      forgeEntry(copy, backup, tar);
      await stateContents(copy, backup, tar);
      const where = `${JSON.stringify(members)} HOLDFAST_SEED=${seed}`;
      try {
        const outcome = await tryAll(copy, backup, ["tree"]);
        const key = Object.values(outcome).join(" ");
        counts[key] = (counts[key] ?? 0) + 1;
        if (outcome.verify !== "ok") assert.ok(outcome.drill !== "ok" && outcome.restore !== "ok", JSON.stringify(outcome));
      } catch (error) {
        throw new Error(where, { cause: error });
      }
    }
    // Harmless ones come back: a refusal of everything would be seen.
    assert.ok((counts["ok ok ok"] ?? 0) > 0, JSON.stringify(counts));
    t.diagnostic(`${chosen.length} of ${all.length} trees, HOLDFAST_SEED=${seed}: ${JSON.stringify(counts)}`);
  });

  test("F57 a harmless tree that is written in the same way comes back", async () => {
    await using world = await makeHostileWorld();
    const backup = await backUp(world, "directory", ["tree"], { method: "none" });
    const tar = writeTar([
      { name: "./", type: "5", mode: 0o755 },
      { name: "./a", type: "0", body: "content" },
    ]);
    forgeEntry(world, backup, tar);
    await stateContents(world, backup, tar);
    assert.deepEqual(await tryAll(world, backup, ["tree"]), { verify: "ok", drill: "ok", restore: "ok" });
  });
});

/** A liar states the contents that a reader finds. Where the reader refuses there are none to state. */
async function stateContents(world: SmallWorld, backup: BackupResult, tar: Buffer): Promise<void> {
  const entry = { name: "tree.tar", form: "tree", bytes: tar.length, sourcePath: "/x", open: () => once(tar) } as const;
  const context = { name: "tree", stagingDir: join(world.root, "tmp"), progress: () => undefined };
  try {
    const { contents } = await findDatastoreDriver("files").check(once(entry), context, never);
    forgeManifest(world, backup, (manifest) => void Object.assign(manifest.members[0] ?? {}, { contents }));
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
  }
}

function redirect(member: TarMember, from: string, to: string): TarMember {
  const { link } = member;
  return { ...member, name: member.name.replace(from, to), ...(link === undefined ? {} : { link: link.replace(from, to) }) };
}

/** All trees of one and two members over a small grammar. */
function listTrees(canary: string): readonly (readonly TarMember[])[] {
  const names = [
    "./a",
    "a",
    "../canary/bird",
    `${canary}/bird`,
    "./a/bird",
    "./a/../../canary/bird",
    "./../x",
    "./",
    ".",
    "..",
    "./a//b",
    "./a/./b",
  ];
  const links = ["a", canary, "../canary", `${canary}/bird`, "../../canary/bird", ".", "/"];
  const members: TarMember[] = names.flatMap((name) => [
    { name, type: "0", body: "evil" },
    { name, type: "0", body: "evil", mode: 0o6755 },
    { name, type: "0", body: "evil", size: 1 << 20 },
    { name, type: "5", mode: 0o777 },
    { name, type: "5", mode: 0o6777 },
    { name, type: "3" },
    { name, type: "4" },
    { name, type: "6" },
    { name, type: "7", body: "" },
    { name, type: "V" },
    ...links.flatMap((link) => ["1", "2"].map((type) => ({ name, type, link }))),
  ]);
  const firsts = members.filter(({ name, type }) => ["./a", "a"].includes(name) && ["1", "2", "5", "0"].includes(type));
  return [...members.map((member) => [member]), ...firsts.flatMap((first) => members.map((second) => [first, second]))];
}
