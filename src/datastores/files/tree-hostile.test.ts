import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, dumpAll, makeTestDirectory, readEntry, restoreAll, storeEntry } from "../../../test/support/datastore.ts";
import { makeRoot } from "../../../test/support/trees.ts";
import type { StoredEntry } from "../contract.ts";
import { filesDatastore } from "./files-datastore.ts";
import { createHeader, createPadding, createPaxRecord, endOfArchive } from "./pax-header.ts";

test("F57 G6 hostile trees are refused before anything is created from them", async (t) => {
  const base = makeTestDirectory(t);
  const top = createHeader("5", "./", 0, 0o755);
  const file = (name: string, link?: string): Buffer =>
    link === undefined ? createHeader("0", name, 0, 0o644) : createHeader("1", name, 0, 0o644, link);
  const pax = Buffer.from(createPaxRecord("path", "../../escaped"));
  const rest = " path=./innocent\n";
  // A length that JavaScript takes for a number, and tar for none: to it the member would have its other name.
  const hex = Buffer.from(`0x${(rest.length + 4).toString(16).padStart(2, "0")}${rest}`);
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
    "hard link through a hard link to a link": [
      top,
      createHeader("2", "./link", 0, 0o777, "/etc"),
      file("./name", "./link"),
      file("./passwd", "./name/passwd"),
    ],
    "an extended header with an odd length": [
      top,
      createHeader("x", "x", hex.length, 0o600),
      hex,
      createPadding(hex.length),
      file("./../escaped"),
    ],
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
