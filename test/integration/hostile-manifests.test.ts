import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { findDatastoreDriver } from "../../src/datastores/registry.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { forgeManifest, writeTar, type Lie } from "../support/hostile-backup.ts";
import { isLong } from "../support/kill-campaign.ts";
import { backUp, changeWorld, copyWorld, never, type DatastoreName, type SmallWorld } from "../support/small-world.ts";
import { makeHostileWorld, once, tryAll, useDirectHooks } from "../support/hostile-world.ts";

useDirectHooks();

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
        // That a tree may be unpacked is known before it is; what is in it is read from what was.
        const outcome = await tryAll(copy, backup, [name], name !== "loose");
        assert.ok(outcome.verify !== "ok" && outcome.drill !== "ok" && outcome.restore !== "ok", `${title}: ${JSON.stringify(outcome)}`);
      }
    });

    test(`F57 F58 a source path of a backup of ${name} that leads elsewhere leads nowhere`, async () => {
      const sources = ["/", "/etc", "relative", "", "/a/../..", `${world.root}/canary/bird`, `${world.root}/canary`, "nul\0", "*"];
      // Each that is not refused at once starts SQLite a dozen times.
      for (const path of name === "memory" && !isLong ? pickPoints(sources, 3, readSeed(), "source paths") : sources) {
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
