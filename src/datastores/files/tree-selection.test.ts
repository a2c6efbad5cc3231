import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, dumpAll, restoreAll } from "../../../test/support/datastore.ts";
import { makeRoot, onExit, runShell } from "../../../test/support/trees.ts";
import { compareContents } from "../../base/contents.ts";
import { filesDatastore } from "./files-datastore.ts";

test("F54 databases that need a driver of their own are pointed out", async (t) => {
  const { base, root } = makeRoot(
    t,
    "sqlite3 app.db 'create table t (a)' || { printf 'SQLite format 3\\0' > app.db; truncate -s 4096 app.db; }; mkdir pg; echo 15 > pg/PG_VERSION",
  );
  const { notes } = await dumpAll(filesDatastore, { root }, base);
  assert.deepEqual(
    notes.map(({ level, code, message }) => `${level} ${code} ${message.split(": ").at(-1) ?? ""}`),
    ["warning live-sqlite app.db", "warning live-postgres pg/PG_VERSION"],
  );
});

test("F54 excludes leave out what they match, of any name, and survive a restore", async (t) => {
  const { base, root } = makeRoot(
    t,
    "mkdir -p cache/deep keep/tmp gone; echo 1 > cache/deep/1; echo 2 > keep/two; echo 3 > keep/tmp/3; echo 4 > $'odd\\nname.skip'; echo 5 > 'odd .skip '; echo 6 > gone/6.skip",
  );
  const options = { root, exclude: ["cache", "*/tmp", "**/*.skip", "*.skip "] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  const { contents, indexPath } = await checkAll(filesDatastore, entries, base);
  assert.equal(contents.counts["files"], 1);
  assert.doesNotMatch(readFileSync(indexPath ?? "", "utf8"), /skip|cache|tmp/);
  const kept = runShell("find . | sort", root);
  runShell("echo more >> keep/two", root);
  const { found } = await restoreAll(filesDatastore, options, base, entries);
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(runShell("find . | sort", root), kept);
  assert.equal(readFileSync(join(root, "keep/two"), "utf8"), "2\n");
});

test("a file system that is mounted inside is left out with a note, and stops a restore", async (t) => {
  const { base, root } = makeRoot(t, "mkdir mounted bound ../elsewhere; echo x > file; echo y > ../elsewhere/y");
  runShell("mount -t tmpfs -o size=1m none root/mounted; echo z > root/mounted/z; mount --bind elsewhere root/bound", base);
  using _unmount = onExit(() => runShell("umount --lazy root/mounted root/bound", base));
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base);
  assert.deepEqual(
    notes.map(({ code, message }) => `${code} ${message.split(": ").at(-1) ?? ""}`),
    ["mount-left-out bound, mounted"],
  );
  const { contents } = await checkAll(filesDatastore, entries, base);
  assert.equal(contents.counts["files"], 1);
  assert.equal(contents.counts["directories"], 3);
  await assert.rejects(restoreAll(filesDatastore, { root }, base, entries), { code: "target-unsafe" });
});
