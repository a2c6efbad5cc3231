import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dumpAll, each, listLeftovers, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { listTree, makeRoot, onExit, runShell } from "../../../test/support/trees.ts";
import { compareContents } from "../../base/contents.ts";
import type { SwapStep } from "../contract.ts";
import { filesDatastore } from "./files-datastore.ts";

const keep = (...parts: string[]) => ({ parts: { parts, beyond: "keep" as const } });
const remove = (...parts: string[]) => ({ parts: { parts, beyond: "remove" as const } });

const fill = `mkdir -p a/deep b c; echo one > a/1.txt; echo two > a/2.txt; echo keep > a/keep.bin; echo deep > a/deep/3.txt; echo b > b/1.txt
  ln -s ../a/1.txt c/link; ln a/keep.bin c/hard; touch -d '2011-01-01 01:01:01.123456789' a/1.txt; chmod 640 a/1.txt; chown 1234:5678 a/1.txt; chmod 711 b`;

test("A6 a glob, a directory, a link and a hard link come back, and nothing else is touched; rolled back twice", async (t) => {
  const { base, root } = makeRoot(t, fill);
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  const old = listTree(root);
  runShell(
    "echo changed > a/1.txt; rm a/2.txt; echo new > a/new.txt; echo changed > a/keep.bin; rm -r b c; echo else > else; rm -r a/deep",
    root,
  );
  const changed = listTree(root);
  const { steps, found, expected, staged } = await restoreAll(
    filesDatastore,
    { root },
    base,
    entries,
    keep("a/*.txt", "b", "./c/", join(root, "a/deep")),
  );
  assert.deepEqual(compareContents(expected ?? found, staged), []);
  assert.deepEqual(compareContents(expected ?? found, found), []);
  assert.equal(
    runShell("cat a/1.txt a/2.txt a/deep/3.txt a/new.txt a/keep.bin b/1.txt c/hard else", root),
    "one\ntwo\ndeep\nnew\nchanged\nb\nkeep\nelse\n",
  );
  assert.equal(
    runShell("readlink c/link; stat -c '%a %u:%g %y' a/1.txt; stat -c %a b", root),
    "../a/1.txt\n640 1234:5678 2011-01-01 01:01:01.123456789 +0000\n711\n",
  );
  await filesDatastore.rollBack(steps, quiet);
  assert.deepEqual(listTree(root), changed);
  await filesDatastore.rollBack(steps, quiet);
  assert.deepEqual(listTree(root), changed);
  assert.deepEqual(listLeftovers(base), []);
  const all = await restoreAll(filesDatastore, { root }, base, entries, keep("*"));
  await filesDatastore.settle(all.steps, quiet);
  runShell("rm else a/new.txt", root);
  assert.deepEqual(
    listTree(root).filter((line) => !/\td\t/.test(line)),
    old.filter((line) => !/\td\t/.test(line)),
  );
  assert.deepEqual(listLeftovers(base), []);
});

test("D6 what is chosen, there and not in a backup made before a restore goes, what the backups leave out stays", async (t) => {
  const { base, root } = makeRoot(t, "mkdir -p a/cache a/sub; echo one > a/1; echo c > a/cache/c; echo x > x");
  const options = { root, exclude: ["**/cache", "**/*.left"] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  runShell(
    "rm a/1; rmdir a/sub; echo file > a/sub; mkdir -p a/1/2 a/new/inner a/more; echo n > a/1/2/n; echo n > a/new/inner/n; echo l > a/more/o.left; echo n > a/more/n; echo y > y",
    root,
  );
  const changed = listTree(root);
  const { steps } = await restoreAll(filesDatastore, options, base, entries, remove("a"));
  assert.equal(
    runShell("find . | sort", root),
    [".", "./a", "./a/1", "./a/cache", "./a/cache/c", "./a/more", "./a/more/o.left", "./a/sub", "./x", "./y", ""].join("\n"),
  );
  assert.equal(runShell("cat a/1; stat -c %F a/sub", root), "one\ndirectory\n");
  await filesDatastore.rollBack(steps, quiet);
  assert.deepEqual(listTree(root), changed);
});

test("what would be replaced and is in no backup is refused", async (t) => {
  const { base, root } = makeRoot(t, "mkdir a; echo one > a/1.left");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  runShell("echo changed > a/1.left", root);
  const options = { root, exclude: ["**/*.left"] };
  await using datastore = await filesDatastore.configure(options).open(makeContext(base));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts: ["a"] }, quiet);
  await session.stage(each(entries), quiet);
  const saved = { status: "ok" as const, contents: { counts: {}, digests: {}, facts: {} }, entries: [] };
  await assert.rejects(session.assertSaved?.(saved, quiet) ?? Promise.resolve(), { code: "target-unsafe" });
});

test("F57 a link on the way to a path is refused, one at the path itself is replaced: nothing outside is touched", async (t) => {
  const { base, root } = makeRoot(t, fill);
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  runShell("mkdir outside; echo outside > outside/1.txt", base);
  runShell("rm -r a; ln -s ../outside a", root);
  const before = [...listTree(root), ...listTree(join(base, "outside"))];
  for (const path of ["a/1.txt", "a/deep"])
    await assert.rejects(restoreAll(filesDatastore, { root }, base, entries, keep(path)), { code: "target-unsafe" });
  assert.deepEqual([...listTree(root), ...listTree(join(base, "outside"))], before);
  const { steps } = await restoreAll(filesDatastore, { root }, base, entries, keep("a"));
  assert.equal(runShell("stat -c %F a; cat a/1.txt ../outside/1.txt", root), "directory\none\noutside\n");
  await filesDatastore.rollBack(steps, quiet);
  assert.deepEqual([...listTree(root), ...listTree(join(base, "outside"))], before);
  runShell("rm a; mkdir a; ln -s ../../outside/1.txt a/1.txt", root);
  await restoreAll(filesDatastore, { root }, base, entries, keep("a/1.txt"));
  assert.equal(runShell("stat -c %F a/1.txt; cat a/1.txt ../outside/1.txt", root), "regular file\none\noutside\n");
});

test("F57 a directory that becomes a link before a roll-back is left alone with what it leads to, and what was aside is kept", async (t) => {
  const { base, root } = makeRoot(t, "mkdir -p a/in b; echo evil > a/evil; echo one > a/in/1");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  runShell("chown -R 1234:5678 a b; mkdir ../outside; echo outside > ../outside/else", root);
  const outside = listTree(join(base, "outside"));
  const { steps } = await restoreAll(filesDatastore, { root }, base, entries, keep("a", "b"));
  runShell("mv a moved; ln -s ../outside a; rmdir b; ln -s ../outside b", root);
  await assert.rejects(filesDatastore.rollBack(steps, quiet), { code: "restore-stuck", message: /root\/a has become a link/ });
  assert.deepEqual(listTree(join(base, "outside")), outside);
  runShell("rm a b; mv moved a; mkdir b", root);
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(runShell("cat a/evil; stat -c %u:%g a a/evil", root), "evil\n1234:5678\n1234:5678\n");
  assert.deepEqual(listLeftovers(base), []);
});

test("F57 a directory that becomes a link between staging and swap is refused", async (t) => {
  const { base, root } = makeRoot(t, fill);
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  await using datastore = await filesDatastore.configure({ root }).open(makeContext(base));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts: ["a/1.txt"] }, quiet);
  await session.stage(each(entries), quiet);
  runShell("mv a away; mkdir ../outside; echo outside > ../outside/1.txt; ln -s ../outside a", root);
  await assert.rejects(
    session.swap(() => Promise.resolve(), quiet),
    { code: "target-unsafe" },
  );
  assert.equal(readFileSync(join(base, "outside/1.txt"), "utf8"), "outside\n");
});

test("another file system on the way is refused", async (t) => {
  const { base, root } = makeRoot(t, "mkdir -p a/b; echo one > a/b/1");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  runShell("mount -t tmpfs -o size=1m none a/b; mkdir ../bound", root);
  using _unmount = onExit(() => runShell("umount --lazy a/b", root));
  await assert.rejects(restoreAll(filesDatastore, { root }, base, entries, keep("a/b/1")), { code: "target-unsafe" });
  await assert.rejects(restoreAll(filesDatastore, { root }, base, entries, keep("a")), { code: "target-unsafe" });
  runShell("umount a/b; mount --bind ../bound a/b", root);
  for (const restoring of [keep("a/b/1"), keep("a"), remove("a")])
    await assert.rejects(restoreAll(filesDatastore, { root }, base, entries, restoring), { code: "target-unsafe" });
});

test("a root that is gone is made again, with the chosen paths alone", async (t) => {
  const { base, root } = makeRoot(t, `${fill}; chmod 750 .`);
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  runShell("rm -r root", base);
  const { steps } = await restoreAll(filesDatastore, { root }, base, entries, keep("a/deep"));
  assert.equal(runShell("find . -printf '%P %m\\n' | sort; cat a/deep/3.txt", root), " 750\na 755\na/deep 755\na/deep/3.txt 644\ndeep\n");
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(runShell("ls", base).includes("root"), false);
});

test("names of any bytes are chosen by globs", async (t) => {
  const { base, root } = makeRoot(t, "mkdir $'d\\xe9'; echo one > $'d\\xe9/f\\xff.txt'; echo two > $'d\\xe9/line\\nbreak.txt'");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  runShell("chmod 700 d*; echo x > $'d\\xe9/f\\xff.txt'; rm d*/line*", root);
  const changed = listTree(root);
  const { steps } = await restoreAll(filesDatastore, { root }, base, entries, keep("d?"));
  assert.equal(runShell("cat d*/*; stat -c %a d*", root), "one\ntwo\n755\n");
  await filesDatastore.rollBack(steps, quiet);
  assert.deepEqual(listTree(root), changed);
});

test("paths that lead elsewhere, and what the backup does not have, are refused", async (t) => {
  const { base, root } = makeRoot(t, fill);
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  for (const path of ["../x", "/etc/passwd", "a/../../x", "", ".", root])
    await assert.rejects(restoreAll(filesDatastore, { root }, base, entries, keep(path)), { code: "usage" });
  await assert.rejects(restoreAll(filesDatastore, { root }, base, entries, keep("a/*.txt", "nothing/*")), (error: Error) => {
    assert.match(error.message, /matches nothing\/\*$/);
    return true;
  });
  assert.deepEqual(listLeftovers(base), []);
});

class Stop extends Error {}

for (const when of ["before", "after"] as const) {
  test(`G6 F59 a swap of paths that stops ${when} any of its records is rolled back, twice`, async (t) => {
    for (let stopAt = 0, ended = false; !ended; stopAt += 1) {
      const { base, root } = makeRoot(t, fill);
      const { entries } = await dumpAll(filesDatastore, { root }, base);
      runShell("echo changed > a/1.txt; rm a/2.txt; chmod 700 b; rm -r c; echo c > c; mkdir a/new", root);
      const changed = listTree(root);
      ended = true;
      const recorded: SwapStep[] = [];
      const record = (step: SwapStep): void => {
        const stops = recorded.length === stopAt;
        if (!stops || when === "after") recorded.push(JSON.parse(JSON.stringify(step)) as SwapStep);
        if (!stops) return;
        ended = false;
        throw new Stop();
      };
      await restoreAll(filesDatastore, { root }, base, entries, { ...remove("a/*.txt", "a/new", "b", "c"), record }).catch(
        (error: unknown) => {
          if (!(error instanceof Stop)) throw error;
        },
      );
      for (const _ of [1, 2]) {
        await filesDatastore.rollBack(recorded, quiet);
        assert.deepEqual(listTree(root), changed, `stopped ${when} record ${stopAt}`);
      }
      assert.deepEqual(listLeftovers(base), []);
      assert.ok(stopAt < 50);
    }
  });
}

test("A6 single files by name and glob, the others untouched, and what came since only goes with an undo", async (t) => {
  const directory = makeTestDirectory(t);
  const data = join(directory, "data");
  mkdirSync(data);
  runShell("echo 1 > 1.bin; echo 2 > 2.bin; echo 3 > 3.log", data);
  const options = { include: [join(data, "*.bin"), join(data, "*.log")] };
  const { entries } = await dumpAll(filesDatastore, options, directory);
  const change = (): void => {
    for (const name of ["1.bin", "3.log", "new.bin"]) writeFileSync(join(data, name), "changed\n");
    runShell("rm -f 2.bin", data);
  };
  change();
  const all = "cat 1.bin 2.bin 3.log new.bin 2>/dev/null || true";
  const first = await restoreAll(filesDatastore, options, directory, entries, keep("*.bin"));
  assert.deepEqual(Object.keys(first.found.digests), ["file.1.bin", "file.2.bin"]);
  assert.equal(runShell(all, data), "1\n2\nchanged\nchanged\n");
  await filesDatastore.rollBack(first.steps, quiet);
  assert.equal(runShell(all, data), "changed\nchanged\nchanged\n");
  const second = await restoreAll(filesDatastore, options, directory, entries, remove("*.bin"));
  assert.equal(runShell(all, data), "1\n2\nchanged\n");
  await filesDatastore.rollBack(second.steps, quiet);
  assert.equal(runShell(all, data), "changed\nchanged\nchanged\n");
  await assert.rejects(restoreAll(filesDatastore, options, directory, entries, keep("4.bin")), /matches 4.bin/);
  runShell("rm 1.bin; echo outside > ../outside; ln -s ../outside 1.bin", data);
  await assert.rejects(restoreAll(filesDatastore, options, directory, entries, keep("1.bin")), { code: "target-unsafe" });
  assert.equal(readFileSync(join(directory, "outside"), "utf8"), "outside\n", "F57 a link that a glob finds is not followed");
});
