import assert from "node:assert/strict";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, dumpAll, readEntry } from "../../../test/support/datastore.ts";
import { makeRoot, runShell } from "../../../test/support/trees.ts";
import { filesDatastore } from "./files-datastore.ts";
import { collectMessages } from "../trees/tar-messages.ts";

test("F48 files that change, shrink or vanish while a tree is read are named, and the tree stays readable", async (t) => {
  const { base, root } = makeRoot(t, "head -c 9000000 /dev/urandom > a; mkdir m; echo x > m/x; head -c 9000000 /dev/urandom > z");
  const change = (): void => void runShell("echo more >> a; rm m/x; truncate -s 100 z", root);
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base, { firstBytes: change });
  const partial = notes.filter(({ level }) => level === "partial").map(({ code, message }) => `${code} ${message.split(" ")[0] ?? ""}`);
  assert.ok(partial.includes("file-changed a"), partial.join());
  assert.equal((await checkAll(filesDatastore, entries, base)).contents.counts["files"], 2);
});

test("F48 thousands of files that vanish while a tree is read are all counted, the first of them by name", async (t) => {
  const { base, root } = makeRoot(t, "head -c 9000000 /dev/urandom > a; seq -f 'gone-%05g' 1 5000 | xargs touch; echo z > z");
  const change = (): void => void runShell("find . -name 'gone-*' -delete", root);
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base, { firstBytes: change });
  const vanished = notes.filter(({ code }) => code === "file-vanished").map(({ message }) => message);
  assert.equal(vanished.length, 100);
  assert.equal(vanished[0], "gone-00001 vanished before it was read");
  assert.deepEqual(
    notes.filter(({ code }) => code === "more-notes").map(({ level, message }) => `${level} ${message}`),
    ["partial Not listed: 4900 more of file-vanished"],
  );
  assert.equal((await checkAll(filesDatastore, entries, base)).contents.counts["files"], 2);
});

test("F48 what tar says of many directories is information, and of names of any bytes too", (t) => {
  const { root } = makeRoot(t, "mkdir $'d\\xe9' 'back\\slash' 'ü' $'new\\nline'; touch file");
  const messages = collectMessages(root);
  for (const name of ["d\\351", "back\\\\slash", "ü", "new\\nline"]) messages.add(`tar: ./${name}: file changed as we read it`);
  assert.deepEqual(
    messages.notes().map(({ level, code }) => `${level} ${code}`),
    Array<string>(4).fill("info directory-changed"),
  );
  for (let index = 0; index < 150; index += 1) messages.add(`tar: .: file changed as we read it`);
  assert.deepEqual(messages.notes().at(-1), { level: "info", code: "more-notes", message: "Not listed: 54 more of directory-changed" });
  for (let index = 0; index < 101; index += 1) messages.add(`tar: ./file: file changed as we read it`);
  assert.deepEqual(messages.notes().at(-1), {
    level: "partial",
    code: "more-notes",
    message: "Not listed: 54 more of directory-changed, 1 more of file-changed",
  });
});

test("F49 what of a tree cannot be read is named, and the rest is kept", async (t) => {
  const { base, root } = makeRoot(t, "echo a > a; echo s > secret; mkdir closed; echo c > closed/c; chmod 000 secret closed; chmod 777 .");
  const stagingDir = join(base, "open-staging");
  mkdirSync(stagingDir);
  runShell("chmod 777 open-staging", base);
  process.seteuid?.(65_534);
  try {
    const { entries, notes } = await dumpAll(filesDatastore, { root }, base, { context: { stagingDir } });
    assert.deepEqual(
      notes.map(({ level, code, message }) => `${level} ${code} ${message}`),
      [
        "partial file-unreadable closed could not be read: Permission denied",
        "partial file-unreadable secret could not be read: Permission denied",
      ],
    );
    assert.ok((await readEntry(entries[0])).length > 0);
  } finally {
    process.seteuid?.(0);
  }
});

test("F50 an empty root is an error unless that is allowed", async (t) => {
  const { base, root } = makeRoot(t, "true");
  await assert.rejects(dumpAll(filesDatastore, { root }, base), { code: "source-empty" });
  assert.equal((await dumpAll(filesDatastore, { root, allowEmpty: true }, base)).entries.length, 1);
  writeFileSync(join(base, "file"), "x");
  await assert.rejects(dumpAll(filesDatastore, { root: join(base, "file") }, base), { code: "source-missing" });
});

test("F53 a directory that becomes a link while its tree is read does not lead out of the root", async (t) => {
  const { base, root } = makeRoot(
    t,
    "head -c 9000000 /dev/urandom > a; mkdir dir ../outside; echo inner > dir/file; echo secret > ../outside/file",
  );
  const swap = (): void => {
    renameSync(join(root, "dir"), join(root, "moved"));
    symlinkSync(join(base, "outside"), join(root, "dir"));
  };
  const { entries } = await dumpAll(filesDatastore, { root }, base, { firstBytes: swap });
  assert.equal((await readEntry(entries[0])).includes("secret\n"), false);
});
