import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import {
  checkAll,
  dumpAll,
  each,
  makeContext,
  makeTestDirectory,
  quiet,
  readEntry,
  restoreAll,
  storeEntry,
} from "../../../test/support/datastore.ts";
import { compareContents } from "../../base/contents.ts";
import type { StoredEntry } from "../contract.ts";
import { filesDatastore } from "./files-datastore.ts";
import { createHeader, createPadding, createPaxRecord, endOfArchive } from "./pax-header.ts";

function sh(script: string, cwd: string): string {
  return execFileSync("bash", ["-euc", script], { cwd, encoding: "latin1", stdio: ["ignore", "pipe", "ignore"] });
}

function makeRoot(t: TestContext, script: string): { readonly base: string; readonly root: string } {
  const base = makeTestDirectory(t);
  const root = join(base, "root");
  mkdirSync(root);
  sh(script, root);
  return { base, root };
}

/** Unlike t.after it runs before the directory is removed. */
function onExit(act: () => unknown): Disposable {
  return { [Symbol.dispose]: () => void act() };
}

/** What an independent walker sees: names, types, modes, owners, links, times, bytes, attributes, ACLs. */
function listTree(directory: string): readonly string[] {
  return sh(
    `find . -mindepth 1 -printf '%P\\t%y\\t%m\\t%U:%G\\t%l\\t%n\\t' \\( -type f -printf '%s\\t%T@' -o -true \\) -printf '\\0' | sort -z | tr '\\0' '\\n'
     find . -type f -size -1000M -execdir sha256sum '{}' ';' | sort
     find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -- 2>/dev/null || true
     find . ! -type l -print0 | sort -z | xargs -0 -r getfacl -n -- 2>/dev/null || true`,
    directory,
  ).split("\n");
}

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
  sh("rm -rf sub; echo new > new", root);
  const { found } = await restoreAll(filesDatastore, { ...options, setId: true }, base, entries);
  assert.deepEqual(found.digests, contents.digests);
  assert.deepEqual(listTree(root), before);
  assert.equal(sh("stat -c %a sub/one", join(drill, "member")).trim(), "755");
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

test("F48 files that change, shrink or vanish while a tree is read are named, and the tree stays readable", async (t) => {
  const { base, root } = makeRoot(t, "head -c 9000000 /dev/urandom > a; mkdir m; echo x > m/x; head -c 9000000 /dev/urandom > z");
  const change = (): void => void sh("echo more >> a; rm m/x; truncate -s 100 z", root);
  const { entries, notes } = await dumpAll(filesDatastore, { root }, base, { firstBytes: change });
  const partial = notes.filter(({ level }) => level === "partial").map(({ code, message }) => `${code} ${message.split(" ")[0] ?? ""}`);
  assert.ok(partial.includes("file-changed a"), partial.join());
  assert.equal((await checkAll(filesDatastore, entries, base)).contents.counts["files"], 2);
});

test("F49 what of a tree cannot be read is named, and the rest is kept", async (t) => {
  const { base, root } = makeRoot(t, "echo a > a; echo s > secret; mkdir closed; echo c > closed/c; chmod 000 secret closed; chmod 777 .");
  const stagingDir = join(base, "open-staging");
  mkdirSync(stagingDir);
  sh("chmod 777 open-staging", base);
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
  const kept = sh("find . | sort", root);
  sh("echo more >> keep/two", root);
  const { found } = await restoreAll(filesDatastore, options, base, entries);
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(sh("find . | sort", root), kept);
  assert.equal(readFileSync(join(root, "keep/two"), "utf8"), "2\n");
});

test("a root that is a mount point is swapped entry by entry, and rolled back", async (t) => {
  const { base, root } = makeRoot(t, "true");
  sh("mount -t tmpfs -o size=8m none root", base);
  using _unmount = onExit(() => sh("umount --lazy root", base));
  sh("echo one > one; mkdir cache; echo kept > cache/kept; mkdir -p sub/sub; echo two > sub/sub/two; chmod 750 .", root);
  const options = { root, exclude: ["cache"] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  const { contents } = await checkAll(filesDatastore, entries, base);
  sh("rm -r sub; echo changed > one; echo new > new; chmod 700 .", root);
  const changed = sh("find . -printf '%P %m\\n' | sort; cat one", root);
  const { found, steps } = await restoreAll(filesDatastore, options, base, entries);
  assert.deepEqual(compareContents(contents, found), []);
  assert.equal(sh("cat one sub/sub/two cache/kept; stat -c %a .", root), "one\ntwo\nkept\n750\n");
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(sh("find . -printf '%P %m\\n' | sort; cat one", root), changed);
});

test("a file system that is mounted inside is left out with a note, and stops a restore", async (t) => {
  const { base, root } = makeRoot(t, "mkdir mounted bound ../elsewhere; echo x > file; echo y > ../elsewhere/y");
  sh("mount -t tmpfs -o size=1m none root/mounted; echo z > root/mounted/z; mount --bind elsewhere root/bound", base);
  using _unmount = onExit(() => sh("umount --lazy root/mounted root/bound", base));
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

test("what an application wrote after the swap is kept by a roll-back", async (t) => {
  const { base, root } = makeRoot(t, "echo one > one");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  const { steps } = await restoreAll(filesDatastore, { root }, base, entries);
  sh("rm -r root; mkdir root; echo later > root/later", base);
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(readFileSync(join(root, "one"), "utf8"), "one\n");
  const displaced = readdirSync(base).find((name) => name.endsWith("-displaced")) ?? "";
  assert.equal(sh("cat displaced-*/later", join(base, displaced)), "later\n");
});

test("F57 G6 hostile trees are refused before anything is created from them", async (t) => {
  const base = makeTestDirectory(t);
  const top = createHeader("5", "./", 0, 0o755);
  const file = (name: string, link?: string): Buffer =>
    link === undefined ? createHeader("0", name, 0, 0o644) : createHeader("1", name, 0, 0o644, link);
  const pax = Buffer.from(createPaxRecord("path", "../../escaped"));
  const hostile: Readonly<Record<string, readonly Buffer[]>> = {
    absolute: [top, file("/etc/escaped")],
    "dot-dot": [top, file("./../escaped")],
    "dot-dot in an extended header": [top, createHeader("x", "x", pax.length, 0o600), pax, createPadding(pax.length), file("./innocent")],
    "below a link": [top, createHeader("2", "./link", 0, 0o777, "/tmp"), file("./link/escaped")],
    "a link, then a directory of that name": [
      top,
      createHeader("2", "./link", 0, 0o777, "/tmp"),
      createHeader("5", "./link/", 0, 0o755),
      file("./link/escaped"),
    ],
    "twice the same": [top, file("./a"), file("./a")],
    "hard link to outside": [top, file("./passwd", "/etc/passwd")],
    "hard link through a link": [top, createHeader("2", "./link", 0, 0o777, "/etc"), file("./passwd", "./link/passwd")],
    "without a top": [file("./a")],
    "an unknown type": [top, createHeader("7", "./a", 0, 0o644)],
    "out of order": [top, file("./b"), file("./a")],
    truncated: [top, createHeader("0", "./a", 5000, 0o644)],
  };
  for (const [name, blocks] of Object.entries(hostile)) {
    const root = join(base, "target");
    mkdirSync(root);
    writeFileSync(join(root, "untouched"), name);
    const entry = storeEntry({ name: "member.tar", form: "tree", sourcePath: root }, Buffer.concat([...blocks, endOfArchive]));
    await assert.rejects(checkAll(filesDatastore, [entry], base), { code: "backup-damaged" }, name);
    const before = readdirSync(base, { recursive: true }).filter((path) => !path.includes("staging"));
    await assert.rejects(restoreAll(filesDatastore, { root }, base, [entry]), { code: "backup-damaged" }, name);
    assert.deepEqual(
      readdirSync(base, { recursive: true }).filter((path) => !path.includes("staging")),
      before,
      name,
    );
    rmSync(root, { recursive: true });
  }
});

test("F57 a target that has become a link is refused", async (t) => {
  const { base, root } = makeRoot(t, "echo x > x");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  await using datastore = await filesDatastore.configure({ root }).open(makeContext(base));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, quiet);
  await session.stage(each(entries), quiet);
  sh("mv root elsewhere; ln -s elsewhere root", base);
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
  sh("mv root elsewhere; ln -s elsewhere root", base);
  await assert.rejects(session.stage(each(entries), quiet), { code: "target-unsafe" });
});

test("F55 F56 every truncation at a block, and bytes after the end, are refused", async (t) => {
  const { base, root } = makeRoot(t, "echo x > x; ln -s x link; truncate -s 2M sparse; echo end >> sparse");
  const { entries } = await dumpAll(filesDatastore, { root }, base);
  const whole = await readEntry(entries[0]);
  const entry = (bytes: Buffer): StoredEntry => storeEntry({ name: "member.tar", form: "tree", sourcePath: root }, bytes, 700);
  const end =
    whole.length -
    Math.floor(
      Buffer.from(whole)
        .reverse()
        .findIndex((byte) => byte !== 0) / 512,
    ) *
      512;
  for (let bytes = 0; bytes < end + 1024; bytes += 256)
    await assert.rejects(checkAll(filesDatastore, [entry(whole.subarray(0, bytes))], base), { code: "backup-damaged" }, String(bytes));
  await checkAll(filesDatastore, [entry(whole)], base);
  for (const extra of ["x", "\0"])
    await assert.rejects(checkAll(filesDatastore, [entry(Buffer.concat([whole, Buffer.from(extra)]))], base), { code: "backup-damaged" });
});

test("P5 random trees come back as an independent walker sees them", async (t) => {
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
          hard: `ln "$(find . -type f | sort | head -1)" "$p"`,
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
      sh("find . -mindepth 1 -delete", root);
      const { found } = await restoreAll(filesDatastore, { root, setId: true, allowEmpty: true }, base, entries);
      assert.deepEqual(compareContents(contents, found), []);
      assert.deepEqual(listTree(root), before);
    }),
    { numRuns: 12 },
  );
});
