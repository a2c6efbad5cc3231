import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { createEntry, openWritten, writeBackup, type NewBackup } from "../../test/support/write-backup.ts";
import type { Contents } from "../base/contents.ts";
import { compressionMethods } from "./compression.ts";
import { formatInfoFile } from "./info-files.ts";

const never = new AbortController().signal;
const rows: Contents = { counts: { "rows.messages": 120, "rows.facts": 1 }, digests: {}, facts: {} };

function createDuck(layout: NewBackup["layout"]): NewBackup {
  return {
    layout,
    stem: "duck_backup_20240101_120000",
    compression: { method: "gzip" },
    draft: { note: "before the\nmigration", status: "partial" },
    members: [
      { datastore: "memory", kind: "sqlite", contents: rows, entries: [createEntry("duck_memory.db", Buffer.alloc(4096, "x"))] },
      {
        datastore: "caches",
        contents: { counts: { files: 2, bytes: 7 }, digests: {}, facts: {} },
        entries: [createEntry("a-embedding.bin", Buffer.from("abc")), createEntry("b-embedding.bin", Buffer.from("defg"))],
      },
      { datastore: "session", status: "absent", entries: [] },
      {
        datastore: "voice",
        kind: "sqlite",
        status: "failed",
        entries: [],
        notes: [{ level: "partial", code: "source-missing", message: "there is no chatgpt_voice.db" }],
      },
    ],
  };
}

test("D3 backup_info.txt tells the time, the rows of each table and the list of files", async () => {
  const text = await (await openWritten(await writeBackup(createDuck("archive")))).readText("backup_info.txt", never);
  assert.equal(
    text,
    `Backup:    duck_backup_20240101_120000.tar.gz
Date:      2024-01-01T12:00:00+00:00 (UTC)
Type:      backup, archive, by schedule
Job:       nightly
Host:      duck
Status:    partial
Note:      before the?migration

memory (sqlite): ok, 1 file, 4.0 KiB
  duck_memory.db  4.0 KiB
  facts: 1 row
  messages: 120 rows

caches (files): ok, 2 files, 7 B
  a-embedding.bin  3 B
  b-embedding.bin  4 B
  bytes: 7
  files: 2

session (files): absent

voice (sqlite): failed
  partial: there is no chatgpt_voice.db
`,
  );
});

test("W2 backup_info.txt of a directory tells date, directory, type, and each service with outcome, file and size", async () => {
  const text = await (await openWritten(await writeBackup(createDuck("directory")))).readText("backup_info.txt", never);
  for (const line of [
    /^Date: +2024-01-01T12:00:00/m,
    /^Directory: +?duck_backup_20240101_120000$/m,
    /^Type: +backup/m,
    /^memory \(sqlite\): ok/m,
    /^ {2}duck_memory\.db\.gz {2}\d+ B \(4\.0 KiB unpacked\)$/m,
    /^voice \(sqlite\): failed$/m,
  ])
    assert.match(text, line);
});

test("L1 backup-metadata.json tells the time, the files by name and how many they are", async () => {
  const backup = createDuck("directory");
  const text = await (
    await openWritten(await writeBackup({ ...backup, compression: { method: "none" } }))
  ).readText("backup-metadata.json", never);
  const { timestamp, files, backedUpFiles } = JSON.parse(text) as Record<string, unknown>;
  assert.deepEqual(
    { timestamp, files, backedUpFiles },
    { timestamp: "2024-01-01T12:00:00.000Z", files: ["duck_memory.db", "a-embedding.bin", "b-embedding.bin"], backedUpFiles: 3 },
  );
});

test("info files give local time in the job's zone", async () => {
  const { manifest } = await writeBackup(createDuck("archive"));
  assert.match(
    formatInfoFile("backup_info.txt", { draft: manifest, name: "x", layout: "archive", timezone: "Asia/Tokyo" }),
    /Date: +2024-01-01T21:00:00\+09:00 \(Asia\/Tokyo\)/,
  );
});

for (const layout of ["directory", "archive", "file"] as const) {
  for (const method of compressionMethods) {
    test(`D10 W13 the commands of RESTORE.txt bring everything back with plain tools: ${layout}, ${method}`, async () => {
      const root = mkdtempSync(join(tmpdir(), "holdfast-by-hand-"));
      try {
        await restoreByHand(root, layout, method);
      } finally {
        rmSync(root, { recursive: true });
      }
    });
  }
}

async function restoreByHand(root: string, layout: NewBackup["layout"], method: (typeof compressionMethods)[number]): Promise<void> {
  const home = join(root, "it's a home");
  mkdirSync(join(root, "tree", "deep"), { recursive: true });
  writeFileSync(join(root, "tree", "deep", "a"), "in a tree", { mode: 0o604 });
  chownSync(join(root, "tree", "deep", "a"), 1234, 4321);
  execFileSync("sqlite3", [join(root, "made.db"), "CREATE TABLE t (a); INSERT INTO t VALUES (42);"]);
  const attributes = { mode: 0o640, uid: 1234, gid: 4321, mtimeNs: "1704067200123456789" };
  const database = { ...createEntry("live.db", readFileSync(join(root, "made.db"))), sourcePath: join(home, "live.db"), attributes };
  const tree = {
    ...createEntry("tree.tar", execFileSync("tar", ["-cf", "-", "--format=posix", "-C", join(root, "tree"), "."])),
    form: "tree" as const,
    sourcePath: join(home, "the tree"),
  };
  const odd = { ...createEntry("-rf $(x)\nb", Buffer.from("odd")), sourcePath: join(home, "-rf $(x)\nb"), attributes };
  const raw = {
    ...createEntry("raw", Buffer.from("raw bytes")),
    sourcePath: `base64:${Buffer.concat([Buffer.from(`${home}/a`), Buffer.of(0xe9)]).toString("base64")}`,
    attributes,
  };
  const sqlite = { datastore: "memory", kind: "sqlite", entries: [database] };
  const members =
    layout === "file"
      ? [sqlite]
      : [
          sqlite,
          { datastore: "tree", entries: [tree] },
          { datastore: "odd", entries: [odd, raw] },
          { datastore: "gone", status: "absent" as const, entries: [] },
        ];
  const written = await writeBackup({ layout, compression: { method }, members });

  const at = join(root, "copied backup");
  for (const [key, bytes] of written.store.objects) {
    const path = join(at, key.slice("jobs/".length));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  mkdirSync(home);
  writeFileSync(join(home, "live.db-wal"), "a stale log");
  const text = await (await openWritten(written)).readText("RESTORE.txt", never);
  // A name with a newline goes on in the next line, which then is not indented: run what is between the first and the last command.
  const lines = text.split("\n");
  const script = lines
    .slice(
      lines.findIndex((line) => line.startsWith("  ")),
      lines.findLastIndex((line) => line.startsWith("  ")) + 1,
    )
    .filter((line) => !/^[a-z]+ \(/.test(line))
    .join("\n");
  const output = execFileSync("sh", ["-e", "-u", "-c", script], {
    cwd: layout === "directory" ? join(at, written.manifest.name) : at,
    encoding: "utf8",
  });

  assert.match(output, /^ok$/m);
  for (const member of written.manifest.members)
    for (const { stored, plain } of member.entries) assert.ok(output.includes(layout === "archive" ? plain.sha256 : stored.sha256));
  assert.equal(execFileSync("sqlite3", [join(home, "live.db"), "SELECT a FROM t"], { encoding: "utf8" }), "42\n");
  assert.equal(existsSync(join(home, "live.db-wal")), false);
  const { mode, uid, gid, mtimeNs } = statSync(join(home, "live.db"), { bigint: true });
  assert.deepEqual([mode & 0o7777n, uid, gid, mtimeNs], [0o640n, 1234n, 4321n, 1704067200123456789n]);
  if (layout === "file") return;
  assert.equal(readFileSync(join(home, "the tree", "deep", "a"), "utf8"), "in a tree");
  assert.deepEqual(
    [statSync(join(home, "the tree", "deep", "a")).uid, statSync(join(home, "the tree", "deep", "a")).mode & 0o777],
    [1234, 0o604],
  );
  assert.equal(readFileSync(join(home, "-rf $(x)\nb"), "utf8"), "odd");
  assert.equal(readFileSync(Buffer.concat([Buffer.from(`${home}/a`), Buffer.of(0xe9)]), "utf8"), "raw bytes");
}
