import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { HoldfastError } from "../../src/base/errors.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { findDatastoreDriver } from "../../src/datastores/registry.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { forgeEntry, forgeManifest, writeTar, type TarMember } from "../support/hostile-backup.ts";
import { isLong } from "../support/kill-campaign.ts";
import { backUp, changeWorld, copyWorld, never, type SmallWorld } from "../support/small-world.ts";
import { canaryOf, makeHostileWorld, once, tryAll, useDirectHooks } from "../support/hostile-world.ts";

useDirectHooks();

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
    const chosen = isLong ? all : [...single, ...pickPoints(all, 30, seed, "trees"), ...pickPoints(further, 30, seed, "further trees")];
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
