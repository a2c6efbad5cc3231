import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fc } from "../../../test/support/properties.ts";
import { checkAll, dumpAll, restoreAll } from "../../../test/support/datastore.ts";
import { listTree, makeRoot, runShell } from "../../../test/support/trees.ts";
import { compareContents } from "../../base/contents.ts";
import { filesDatastore } from "./files-datastore.ts";

test("F51 F52 M19 G6 a tree comes back with everything that it had, and equal contents at every step", async (t) => {
  const { base, root } = makeRoot(
    t,
    `mkdir sub a a.b empty; echo one > sub/one; echo two > a/z; echo three > a.b/y
     printf x > $'a\\xe9b'; printf x > $'line\\nbreak'; printf x > "$(printf 'n%.0s' {1..255})"; printf x > '😀'; printf x > ./-rf; printf x > 'trailing '
     ln sub/one sub/hard; ln -s one sub/soft; ln -s /nowhere dangling; mkfifo fifo; truncate -s 1T big; printf end >> big
     chown 70000:70001 a/z; chown 165536000:165536000 a.b/y; chmod 4755 sub/one; chmod 2775 a; chmod 1777 a.b
     setfattr -n user.note -v hello a/z; setfacl -m u:1234:rw a/z; setfacl -d -m g:99:rx a
     touch -d '2040-02-03 04:05:06.123456789' a/z; touch -d '1969-02-03 04:05:06.5' sub/one; touch -h -d '2001-01-01 01:01:01.000000001' sub/soft
     for i in $(seq 1 17); do n="$(printf 'd%.0s' {1..220})$i"; mkdir "$n"; cd "$n"; done; printf deep > deep`,
  );
  const options = { root };
  const before = listTree(root);
  const server = createServer().listen(join(root, "socket"));
  await once(server, "listening");
  t.after(() => server.close());
  const { entries, notes } = await dumpAll(filesDatastore, options, base);
  assert.deepEqual(
    notes.map(({ code }) => code),
    ["socket-not-kept"],
  );
  const { contents, indexPath } = await checkAll(filesDatastore, entries, base);
  assert.equal(contents.counts["bytes"], 1_099_511_627_779 + 4 + 4 + 6 + 6 + 4);
  const index = readFileSync(indexPath ?? "", "utf8")
    .trim()
    .split("\n");
  const lines = index.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.ok(lines.some((line) => line["pathBase64"] === Buffer.from([0x61, 0xe9, 0x62]).toString("base64")));
  assert.equal(lines.find((line) => line["path"] === "sub/one")?.["type"], "hardlink");
  assert.equal(
    lines.find((line) => line["path"] === "a/z")?.["mtimeNs"],
    String(BigInt(Date.parse("2040-02-03T04:05:06Z")) * 1_000_000n + 123_456_789n),
  );
  const drill = join(base, "drill");
  mkdirSync(drill);
  const drilled = await restoreAll(filesDatastore, options, base, entries, { target: { kind: "directory", path: drill } });
  assert.deepEqual(drilled.staged.digests, contents.digests);
  assert.deepEqual(drilled.found.counts, contents.counts);
  runShell("rm -rf sub; echo new > new", root);
  const { found } = await restoreAll(filesDatastore, { ...options, setId: true }, base, entries);
  assert.deepEqual(found.digests, contents.digests);
  assert.deepEqual(listTree(root), before);
  assert.equal(runShell("stat -c %a sub/one", join(drill, "member")).trim(), "755");
});

test("F51 a path that tar cannot restore is left out and named, the rest comes back", async (t) => {
  const { base, root } = makeRoot(
    t,
    `echo x > file; for i in $(seq 1 20); do n="$(printf 'd%.0s' {1..220})$i"; mkdir "$n"; cd "$n"; done; printf deep > deep`,
  );
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base);
  assert.deepEqual(
    notes.map(({ code, level }) => `${level} ${code}`),
    ["partial path-not-kept"],
  );
  const { contents } = await checkAll(filesDatastore, entries, base);
  const { found } = await restoreAll(filesDatastore, { root }, base, entries);
  assert.deepEqual(compareContents(contents, found), []);
});

test("F52 devices are kept, and restored only where that is asked for", async (t) => {
  const { base, root } = makeRoot(t, "mknod null c 1 3; echo x > file");
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base);
  assert.deepEqual(
    notes.map(({ code }) => code),
    ["device"],
  );
  const plain = await restoreAll(filesDatastore, { root }, base, entries);
  assert.deepEqual(readdirSync(root), ["file"]);
  const special = await restoreAll(filesDatastore, { root, devices: true }, base, entries);
  assert.deepEqual(readdirSync(root), ["file", "null"]);
  assert.deepEqual(compareContents(plain.found, special.found), []);
});

test("F52 names of one pipe come back as pipes of their own, and the backup says so; a symbolic link keeps its names", async (t) => {
  const { base, root } = makeRoot(t, "echo x > file; mkfifo one; ln one two; ln -s file soft; ln -P soft softer");
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base);
  assert.deepEqual(
    notes.map(({ code, level, message }) => [code, level, message]),
    [["link-not-kept", "info", "Each name of a pipe or device that has several comes back as one of its own: one, two"]],
  );
  const { contents } = await checkAll(filesDatastore, entries, base);
  const { found } = await restoreAll(filesDatastore, { root }, base, entries);
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(
    runShell("stat -c '%n %F %h' one two soft softer", root),
    "one fifo 1\ntwo fifo 1\nsoft symbolic link 2\nsofter symbolic link 2\n",
  );
});

test("prop-P5 random trees come back as an independent walker sees them", async (t) => {
  const name = fc.oneof(
    fc.stringMatching(/^[a-c]{1,2}$/),
    fc.constantFrom("-", " ", "\\", "*", "ä", "😀", "a\nb", "'", '"').map((text) => `${text}x`),
  );
  const leaf = fc.record({
    name,
    bytes: fc.integer({ min: 0, max: 70_000 }),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 3_000_000 }),
    kind: fc.constantFrom("file", "file", "directory", "link", "fifo", "hard"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(leaf, { minLength: 1, maxLength: 12 }), async (leaves) => {
      const { base, root } = makeRoot(t, "true");
      let directory = ".";
      for (const { name: leafName, bytes, mode, uid, kind } of leaves) {
        const plain = `${directory}/${leafName}`;
        const make = {
          file: `head -c ${bytes} /dev/urandom > "$p"`,
          directory: `mkdir "$p"`,
          link: `ln -s target "$p"`,
          fifo: `mkfifo "$p"`,
          hard: `ln "$(find . -type f -print0 | sort -z | head -zn1 | tr -d '\\0')" "$p"`,
        }[kind];
        execFileSync(
          "bash",
          [
            "-c",
            `p="$1"; [ -e "$p" ] || { ${make}; chown -h ${uid}:${uid} "$p"; [ -L "$p" ] || chmod ${mode.toString(8)} "$p"; } 2>/dev/null || true`,
            "bash",
            plain,
          ],
          { cwd: root },
        );
        if (kind === "directory") directory = plain;
      }
      const before = listTree(root);
      const { entries } = await dumpAll(filesDatastore, { root, allowEmpty: true }, base);
      const { contents } = await checkAll(filesDatastore, entries, base);
      runShell("find . -mindepth 1 -delete", root);
      const { found } = await restoreAll(filesDatastore, { root, setId: true, allowEmpty: true }, base, entries);
      assert.deepEqual(compareContents(contents, found), []);
      assert.deepEqual(listTree(root), before);
    }),
    { numRuns: 12 },
  );
});
