import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { endProcessGroup } from "../../src/base/process-group.ts";
import { finishRestores } from "../../src/operations/finish-restore.ts";
import { makeCompileCache, runCampaign } from "../support/kill-campaign.ts";
import { listKillPoints, operate } from "../support/kill-points.ts";
import {
  backUp,
  changeWorld,
  copyWorld,
  describeRestore,
  makeWorld,
  never,
  quietPorts,
  readData,
  worldPaths,
  type DatastoreName,
  type SmallWorld,
} from "../support/small-world.ts";

const cache = makeCompileCache();
after(() => cache[Symbol.dispose]());

describe("the end of a restore that was killed, at the next start", () => {
  /** Leaves a world as a restore leaves it that dies before the application is started on the new data. */
  async function makeInterrupted(datastores: readonly DatastoreName[]) {
    await using worlds = new AsyncDisposableStack();
    const world = worlds.use(await makeWorld());
    const backup = await backUp(world, "directory", datastores);
    changeWorld(world);
    const old = readData(world);
    const setup = describeRestore(world, backup, datastores);
    const points = await (async () => {
      await using clean = copyWorld(world);
      return await listKillPoints(clean, "restore", describeRestore(clean, backup, datastores), cache.path);
    })();
    const lastMove =
      points.findLast(({ call, subject }) => call === "renameSync" && /\/new(-\d+)?$/.test(subject)) ??
      points.findLast(({ call }) => call === "link");
    assert.ok(lastMove);
    const run = await operate(world, "restore", setup, {
      at: { point: lastMove, fault: "after" },
      cache: cache.path,
    });
    assert.equal(run.outcome, "killed");
    await endProcessGroup(undefined, run.marker, 5_000, never);
    assert.notEqual(readData(world), old);
    const owned = worlds.move();
    const kept = { root: world.root, [Symbol.asyncDispose]: () => owned.disposeAsync() };
    return { world: kept, backup, old, journals: worldPaths(world.root).journals };
  }

  for (const datastores of [["tree"], ["memory"]] as const) {
    test(`F59 prop-P4 E2 killed itself, for ${datastores.join()}: the start after that puts all back`, async (t) => {
      const { world, backup, old } = await makeInterrupted(datastores);
      await using _world = world;
      // Paths stand in the journal: a copy has them for its own.
      const describe = (copy: SmallWorld) => {
        const { journals } = worldPaths(copy.root);
        for (const name of readdirSync(journals)) {
          const path = join(journals, name);
          writeFileSync(path, moveSteps(readFileSync(path, "utf8"), world.root, copy.root));
        }
        return { journalDir: journals };
      };
      await runCampaign(t, {
        kind: "finish",
        template: world,
        describe,
        acknowledged: [backup.manifest.id],
        faults: ["before", "after"],
        bounded: 8,
        data: [old],
        cache: cache.path,
      });
    });
  }

  test("F59 prop-P4 E2 killed while it puts aside what the application has written since: the old data is back, the new is kept", async () => {
    const { world, journals } = await makeInterrupted(["loose"]);
    await using _world = world;
    const replaceByRename = ({ root }: SmallWorld): void => {
      const { loose } = worldPaths(root);
      writeFileSync(join(loose, "next"), "work of today");
      renameSync(join(loose, "next"), join(loose, "one.bin"));
    };
    const prepare = (copy: SmallWorld) => {
      const { journals: own } = worldPaths(copy.root);
      for (const name of readdirSync(own)) {
        const path = join(own, name);
        writeFileSync(path, moveSteps(readFileSync(path, "utf8"), world.root, copy.root));
      }
      replaceByRename(copy);
      return { journalDir: own };
    };
    assert.ok(readdirSync(journals).length > 0);
    const points = await (async () => {
      await using clean = copyWorld(world);
      return await listKillPoints(clean, "finish", prepare(clean), cache.path);
    })();
    const renames = points.filter(({ call }) => call === "renameSync");
    assert.ok(renames.length >= 4);
    for (const point of renames) {
      await using copy = copyWorld(world);
      const run = await operate(copy, "finish", prepare(copy), { at: { point, fault: "after" }, cache: cache.path });
      assert.equal(run.outcome, "killed");
      const finished = await finishRestores(worldPaths(copy.root).journals, quietPorts, never);
      assert.deepEqual(
        finished.map(({ outcome }) => outcome),
        ["rolled-back"],
        point.subject,
      );
      const { loose } = worldPaths(copy.root);
      const found = readdirSync(loose, { recursive: true, encoding: "utf8" }).filter((name) => lstatSync(join(loose, name)).isFile());
      const texts = new Map(found.map((name) => [name, readFileSync(join(loose, name), "utf8")]));
      assert.equal(texts.get("one.bin"), "new one", `${point.n} ${point.subject}: ${JSON.stringify([...texts])}`);
      assert.equal(texts.get("three.bin"), "new three", point.subject);
      assert.ok(
        [...texts].some(([name, text]) => name.includes("-displaced/") && text === "work of today"),
        point.subject,
      );
    }
  });

  for (const datastores of [["tree"], ["loose"], ["memory"]] as const) {
    test(`F59 what was put aside is kept when it cannot be told as such: ${datastores.join()}`, async () => {
      const { world, journals } = await makeInterrupted(datastores);
      await using _world = world;
      await using copy = copyWorld(world); // others are its inodes
      const own = worldPaths(copy.root).journals;
      for (const name of readdirSync(journals)) {
        const text = readFileSync(join(journals, name), "utf8");
        writeFileSync(join(own, name), text.replaceAll(world.root, copy.root));
      }
      const [first] = await finishRestores(own, quietPorts, never);
      assert.equal(first?.outcome, "failed");
      const [again] = await finishRestores(own, quietPorts, never);
      assert.equal(again?.outcome, "failed");
      const found = readdirSync(join(copy.root, "app"), { recursive: true, encoding: "utf8" });
      assert.ok(
        found.some((name) => /\/old|holdfast-aside/.test(name)),
        found.join(" "),
      );
    });
  }

  test("F59 prop-P4 a removal that stopped half-way does not mislead the next attempt", async () => {
    const { world, old, journals } = await makeInterrupted(["tree"]);
    await using _world = world;
    const programs = join(world.root, "tmp", "bin");
    mkdirSync(programs);
    // It removes what had been staged, which goes first, and fails.
    writeFileSync(join(programs, "rm"), "#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c \"/bin/rm -r '$last/new'; exit 1\"\n", {
      mode: 0o755,
    });
    const path = process.env["PATH"] ?? "";
    process.env["PATH"] = `${programs}:${path}`;
    try {
      const [first] = await finishRestores(journals, quietPorts, never);
      assert.equal(first?.outcome, "failed");
    } finally {
      process.env["PATH"] = path;
    }
    const [second] = await finishRestores(journals, quietPorts, never);
    assert.equal(second?.outcome, "rolled-back");
    assert.equal(readData(world), old);
  });
});

/** A journal knows files by inode and birth; a copy of the files has others. */
function moveSteps(journal: string, from: string, to: string): string {
  const identities = new Map<string, { readonly ino: string; readonly birth: string }>();
  for (const name of readdirSync(from, { recursive: true, encoding: "utf8" })) {
    const old = lstatSync(join(from, name), { bigint: true });
    const copied = lstatSync(join(to, name), { bigint: true, throwIfNoEntry: false });
    if (copied !== undefined) identities.set(String(old.ino), { ino: String(copied.ino), birth: String(copied.birthtimeNs) });
  }
  const find = (ino: string) => identities.get(ino) ?? { ino, birth: "0" };
  return journal
    .replaceAll(from, to)
    .replaceAll(/"inode":"(\d+):\d+"/g, (_, ino: string) => `"inode":"${find(ino).ino}:${find(ino).birth}"`)
    .replaceAll(/"birth":"\d+","ino":(\d+)/g, (_, ino: string) => `"birth":"${find(ino).birth}","ino":${find(ino).ino}`);
}
