import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, dumpAll, each, makeContext, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { makeRoot, onExit, runShell } from "../../../test/support/trees.ts";
import { compareContents } from "../../base/contents.ts";
import { filesDatastore } from "./files-datastore.ts";

test("a root that is a mount point is swapped entry by entry, and rolled back", async (t) => {
  const { base, root } = makeRoot(t, "true");
  runShell("mount -t tmpfs -o size=8m none root", base);
  using _unmount = onExit(() => runShell("umount --lazy root", base));
  runShell("echo one > one; mkdir cache; echo kept > cache/kept; mkdir -p sub/sub; echo two > sub/sub/two; chmod 750 .", root);
  const options = { root, exclude: ["cache"] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  const { contents } = await checkAll(filesDatastore, entries, base);
  runShell("rm -r sub; echo changed > one; echo new > new; chmod 700 .", root);
  const changed = runShell("find . -printf '%P %m\\n' | sort; cat one", root);
  const { found, steps } = await restoreAll(filesDatastore, options, base, entries);
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(runShell("cat one sub/sub/two cache/kept; stat -c %a .", root), "one\ntwo\nkept\n750\n");
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(runShell("find . -printf '%P %m\\n' | sort; cat one", root), changed);
});

test("what an application wrote after the swap is kept by a roll-back", async (t) => {
  const { base, root } = makeRoot(t, "echo one > one");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  const { steps } = await restoreAll(filesDatastore, { root }, base, entries);
  runShell("rm -r root; mkdir root; echo later > root/later", base);
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(readFileSync(join(root, "one"), "utf8"), "one\n");
  const displaced = readdirSync(base).find((name) => name.endsWith("-displaced")) ?? "";
  assert.equal(runShell("cat displaced-*/later", join(base, displaced)), "later\n");
});

test("F57 a target that has become a link is refused", async (t) => {
  const { base, root } = makeRoot(t, "echo x > x");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  await using datastore = await filesDatastore.configure({ root }).open(makeContext(base));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  await session.stage(each(entries), quiet);
  runShell("mv root elsewhere; ln -s elsewhere root", base);
  await assert.rejects(
    session.swap(() => Promise.resolve(), quiet),
    { code: "target-unsafe" },
  );
});

test("F57 a directory above the target that has become a link is refused", async (t) => {
  const { base, root } = makeRoot(t, "mkdir inner; echo x > inner/x");
  const options = { root: join(root, "inner") };
  const { entries } = await dumpAll(filesDatastore, options, base);
  await using datastore = await filesDatastore.configure(options).open(makeContext(base));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  runShell("mv root elsewhere; ln -s elsewhere root", base);
  await assert.rejects(session.stage(each(entries), quiet), { code: "target-unsafe" });
});
