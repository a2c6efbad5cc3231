import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, dumpAll, each, makeContext, quiet, readEntry, restoreAll } from "../../../test/support/datastore.ts";
import { makeRoot, runShell } from "../../../test/support/trees.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { compareContents } from "../../base/contents.ts";
import type { Note } from "../../base/note.ts";
import { filesDatastore } from "./files-datastore.ts";

const describeNotes = (notes: readonly Note[]): readonly string[] => notes.map(({ level, code }) => `${level} ${code}`);

test("D1 globs and optional files: names are relative to the directory that all patterns share", async (t) => {
  const { base, root: place } = makeRoot(
    t,
    "echo a > a-embedding.bin; echo b > b-embedding.bin; echo o > other; mkdir -p state/x; echo s > state/x/session.json",
  );
  const options = {
    include: [
      join(place, "*-embedding.bin"),
      { path: join(place, "state/*/session.json"), optional: true },
      { path: join(place, "missing.json"), optional: true },
    ],
  };
  const { entries, facts } = await dumpAll(filesDatastore, options, base);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ["a-embedding.bin", "b-embedding.bin", "state/x/session.json"],
  );
  assert.equal(facts.contents?.counts["files"], 3);
  await assert.rejects(dumpAll(filesDatastore, { include: [...options.include, join(place, "needed")] }, base), {
    code: "source-missing",
    message: /needed/,
  });
  await assert.rejects(dumpAll(filesDatastore, { include: [join(place, "*.none")] }, base), { code: "source-missing" });
  const empty = await dumpAll(filesDatastore, { include: [join(place, "*.none")], allowEmpty: true }, base);
  assert.equal(empty.facts.absent, false);
});

test("L1 an append-only log is cut at a whole line, and appending to it is no change", async (t) => {
  const { base, root: place } = makeRoot(
    t,
    `echo '{}' > luna_memory.json; printf '{"n":1}\\n{"n":2}\\n{"n":3' > luna_memory_log.jsonl; printf 'half' > half.jsonl`,
  );
  const log = join(place, "luna_memory_log.jsonl");
  const options = {
    include: [join(place, "luna_memory.json"), { path: log, lines: true }, { path: join(place, "personality.json"), optional: true }],
  };
  const { entries, notes } = await dumpAll(filesDatastore, options, base);
  assert.equal((await readEntry(entries[1])).toString(), '{"n":1}\n{"n":2}\n');
  assert.deepEqual(describeNotes(notes), ["info cut-at-line"]);
  const half = await dumpAll(filesDatastore, { include: [join(place, "half.jsonl")], lines: true }, base);
  assert.deepEqual(describeNotes(half.notes), ["partial no-whole-line"]);
  assert.equal((await readEntry(half.entries[0])).length, 0);
});

test("L1 F48 a large log that is appended to while it is streamed ends at the last whole line of when it was opened", async (t) => {
  const { base, root: place } = makeRoot(t, 'yes \'{"line":"of some length"}\' | head -c 70000000 > log.jsonl');
  const log = join(place, "log.jsonl");
  const append = (): void => appendFileSync(log, "more\n");
  const { entries, notes } = await dumpAll(filesDatastore, { include: [log], lines: true }, base, { firstBytes: append });
  const stored = await readEntry(entries[0]);
  assert.equal(stored.at(-1), 0x0a);
  assert.ok(stored.length <= 70_000_000 && stored.length > 69_999_900);
  assert.deepEqual(describeNotes(notes), ["info cut-at-line"]);
});

test("F48 a large file that changes or shrinks while it is streamed is named", async (t) => {
  const { base, root: place } = makeRoot(t, "truncate -s 70000000 large");
  const large = join(place, "large");
  const options = { include: [large] };
  const changed = await dumpAll(filesDatastore, options, base, { firstBytes: () => appendFileSync(large, "more") });
  assert.deepEqual(describeNotes(changed.notes), ["info sparse-not-kept", "partial file-changed"]);
  const shrunk = await dumpAll(filesDatastore, options, base, { firstBytes: () => truncateSync(large, 5) });
  assert.ok(describeNotes(shrunk.notes).includes("partial file-shrank"));
});

test("F48 a small file that changed while it was copied is read again", async (t) => {
  const { base, root: place } = makeRoot(t, "head -c 60000000 /dev/zero > file");
  const file = join(place, "file");
  const options = filesDatastore.configure({ include: [file] });
  // A staging directory that is a FIFO's reader would be needed to stop in mid-copy; a writer that never pauses does as well.
  const writer = execFileSync(
    "bash",
    [
      "-c",
      `(end=$((SECONDS + 20)); while [ -e "$1" ] && [ $SECONDS -lt $end ]; do printf x >> "$1"; done) >/dev/null 2>&1 & echo $!`,
      "bash",
      file,
    ],
    { encoding: "utf8" },
  );
  assert.ok(Number(writer) > 0);
  try {
    await waitUntil("it writes", () => statSync(file).size > 60_000_000);
    await using datastore = await options.open(makeContext(base));
    const dump = datastore.dump(quiet);
    const { value } = await dump.next();
    assert.ok(value !== undefined && "finish" in value);
    const notes = await value.finish();
    assert.deepEqual(describeNotes(notes), ["partial file-changed"]);
  } finally {
    process.kill(Number(writer));
  }
});

test("F49 F52 what is no regular file, or has no UTF-8 name, is left out and named; a FIFO never blocks", async (t) => {
  const { base, root: place } = makeRoot(t, "mkfifo a.x; ln -s d.x b.x; mkdir c.x; echo d > d.x; echo e > $'e\\xe9.x'");
  const { entries, notes } = await dumpAll(filesDatastore, { include: [join(place, "*.x")] }, base);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ["d.x"],
  );
  assert.deepEqual(describeNotes(notes), ["partial type-not-kept", "partial type-not-kept", "info type-not-kept", "partial name-not-kept"]);
});

test("a symbolic link that is named is followed, kept by a restore, and the file that it leads to is replaced", async (t) => {
  const { base, root: place } = makeRoot(t, "mkdir real; echo one > real/file; ln -s real/file link");
  const options = { include: [join(place, "link")] };
  const { entries, notes } = await dumpAll(filesDatastore, options, base);
  assert.deepEqual(describeNotes(notes), ["info link-followed"]);
  writeFileSync(join(place, "real/file"), "two");
  await restoreAll(filesDatastore, options, base, entries);
  assert.equal(runShell("readlink link; cat real/file", place), "real/file\none\n");
});

test("F53 a file that becomes a link to elsewhere before it is opened is not followed", async (t) => {
  const { base, root: place } = makeRoot(t, "echo 1 > a.x; echo 2 > b.x; echo secret > ../secret");
  await using datastore = await filesDatastore.configure({ include: [join(place, "*.x")] }).open(makeContext(base));
  const dump = datastore.dump(quiet);
  await dump.next();
  rmSync(join(place, "b.x"));
  symlinkSync(join(base, "secret"), join(place, "b.x"));
  const { value, done } = await dump.next();
  assert.equal(done, true);
  assert.deepEqual(value !== undefined && "checked" in value ? describeNotes(value.notes) : [], ["partial file-vanished"]);
});

test("F52 mode, owner and time to the nanosecond come back; set-id bits and extended attributes are told", async (t) => {
  const { base, root: place } = makeRoot(
    t,
    "mkdir sub; echo x > sub/x; chown 3000000:12 sub/x; chmod 2751 sub/x; touch -d '2040-01-01 00:00:00.123456789' sub/x; setfattr -n user.a -v b sub/x",
  );
  const options = { include: [join(place, "sub/x"), { path: join(place, "y"), optional: true }] };
  const { entries, notes } = await dumpAll(filesDatastore, options, base);
  assert.deepEqual(describeNotes(notes), ["warning xattr-not-kept"]);
  assert.equal(entries[0]?.name, "sub/x");
  const before = runShell("stat -c '%u %g %y' sub/x", place);
  runShell("rm -r sub; echo new > y", place);
  const { found, steps } = await restoreAll(filesDatastore, options, base, entries);
  assert.deepEqual(compareContents((await checkAll(filesDatastore, entries, base)).contents, found), []);
  assert.equal(runShell("stat -c '%u %g %y' sub/x; stat -c %a sub/x; ls", place), `${before}751\nsub\n`);
  await filesDatastore.rollBack(steps, quiet);
  assert.equal(runShell("ls -A; cat y", place), "y\nnew\n");
});

test("L7 W13 a backup that does not belong here touches nothing", async (t) => {
  const { base, root: place } = makeRoot(t, "echo x > x");
  const options = { include: [join(place, "x")] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  const [entry] = entries;
  assert.ok(entry !== undefined);
  for (const bad of [
    { ...entry, name: "../escaped" },
    { ...entry, bytes: entry.bytes + 1 },
    { ...entry, form: "tree" as const },
  ]) {
    await assert.rejects(restoreAll(filesDatastore, options, base, [bad]), { code: "backup-damaged" });
    assert.equal(runShell("ls -A . ; cat x", place), "x\nx\n");
  }
});

test("a target directory that has become a link is refused, whatever lies behind it", async (t) => {
  const { base, root: place } = makeRoot(t, "mkdir -p sub/deep; echo x > sub/deep/x; echo y > y; mkdir -p ../elsewhere/deep");
  const options = { include: [join(place, "sub/deep/x"), join(place, "y")] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  renameSync(join(place, "sub"), join(place, "old"));
  symlinkSync(join(base, "elsewhere"), join(place, "sub"));
  await assert.rejects(restoreAll(filesDatastore, options, base, entries), { code: "target-unsafe" });
  assert.equal(runShell("ls -A elsewhere/deep", base), "");
  assert.equal(readFileSync(join(place, "y"), "utf8"), "y\n");
});

test("A6 a chosen file that is there now and not in the backup is found missing, and refused", async (t) => {
  const { base, root: place } = makeRoot(t, "echo one > a.conf");
  const options = { include: [join(place, "*.conf")] };
  const { entries } = await dumpAll(filesDatastore, options, base);
  writeFileSync(join(place, "b.conf"), "later");
  await using datastore = await filesDatastore.configure(options).open(makeContext(base));
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts: ["a.conf", "b.conf"] }, quiet);
  await session.inspect(quiet);
  assert.deepEqual(await session.findUnmet?.(each(entries), quiet), ["b.conf"]);
  await assert.rejects(session.stage(each(entries), quiet), { code: "unknown-name", message: /matches b\.conf/ });
});
