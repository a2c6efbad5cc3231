import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openBackupBed, type BackupBed } from "../../test/support/backup-bed.ts";
import { onExit } from "../../test/support/trees.ts";
import type { BackupHistory, BackupSetup, DatastoreSetup, Progress } from "./setup.ts";

const shrink = { ratio: 0.5, minHistory: 3 };

/** A datastore of single files, filled. */
function makeFiles(bed: BackupBed, name: string, facts: { readonly bytes?: number; readonly optional?: boolean } = {}): DatastoreSetup {
  const path = join(bed.dir, name);
  mkdirSync(path);
  writeFileSync(join(path, "data.bin"), Buffer.alloc(facts.bytes ?? 1000, name));
  return { name, kind: "files", options: { include: [join(path, "*")], optional: facts.optional ?? false }, shrink };
}

const sizes = (history: Record<string, readonly number[]>): BackupHistory => ({ sequence: 3, previous: "0".repeat(64), sizes: history });

/** Finds the one file at or below a place whose name ends so. */
function findFile(directory: string, ending: string): string {
  const found = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(ending));
  assert.equal(found.length, 1, found.join());
  return join(directory, found[0] ?? "");
}

test("F50 an optional datastore that is gone after it had data makes the run suspect", async () => {
  await using bed = await openBackupBed();
  const memory = makeFiles(bed, "memory");
  const caches = makeFiles(bed, "caches", { optional: true });
  rmSync(join(bed.dir, "caches"), { recursive: true });
  const history = sizes({ memory: [1000, 1000, 1000], caches: [1000, 900, 1000] });
  const { manifest } = await bed.run(bed.describe([memory, caches], { history }));
  assert.deepEqual(
    manifest.members.map(({ datastore, status }) => `${datastore} ${status}`),
    ["memory ok", "caches absent"],
  );
  assert.deepEqual(manifest.suspect, ["caches has 0 B; the last 3 backups had 1000 B in the middle"]);
  for (const calm of [{ memory: [1000, 1000, 1000], caches: [1000, 1000] }, { memory: [1000, 1000, 1000] }]) {
    const { manifest: other } = await bed.run(bed.describe([memory, caches], { history: sizes(calm) }));
    assert.deepEqual(other.suspect, []);
  }
});

test("F50 each datastore is compared with its own history, whatever layout and compression it was and is stored in", async () => {
  await using bed = await openBackupBed();
  const large = makeFiles(bed, "large", { bytes: 1_000_000 });
  const small = makeFiles(bed, "small", { bytes: 400 });
  const history = sizes({ large: [1_000_000, 1_000_000, 1_000_000], small: [1000, 1000, 1000] });
  const ways = [
    { layout: "directory", compression: { method: "none" } },
    { layout: "archive", compression: { method: "gzip", level: 9 } },
    { layout: "archive", compression: { method: "zstd", level: 3 } },
  ] as const;
  for (const way of ways) {
    const { manifest } = await bed.run(bed.describe([large, small], { history, ...way }));
    assert.deepEqual(manifest.suspect, ["small has 400 B; the last 3 backups had 1000 B in the middle"], way.layout);
    assert.equal(manifest.status, "ok");
  }
  const { manifest } = await bed.run(bed.describe([large, { ...small, shrink: "off" }], { history }));
  assert.deepEqual(manifest.suspect, []);
});

test("F50 nothing to back up, or a datastore that cannot be read, leaves nothing at the destination", async () => {
  await using bed = await openBackupBed();
  const good = makeFiles(bed, "good");
  const gone = makeFiles(bed, "gone");
  const optional = makeFiles(bed, "optional", { optional: true });
  for (const name of ["gone", "optional"]) rmSync(join(bed.dir, name), { recursive: true });
  for (const layout of ["directory", "archive"] as const) {
    await assert.rejects(bed.run(bed.describe([optional], { layout })), { code: "source-missing" });
    await assert.rejects(bed.run(bed.describe([good, gone], { layout })), { code: "source-missing" });
  }
  assert.deepEqual(bed.listVault(), []);
  assert.deepEqual(readdirSync(bed.staging), []);
});

test("W5 what is not there is left out of a partial backup where the job says so, and has not shrunk; nothing else is let pass", async () => {
  await using bed = await openBackupBed();
  const memory = makeFiles(bed, "memory");
  const skipped = { ...makeFiles(bed, "gone"), onMissing: "skip" } as const;
  rmSync(join(bed.dir, "gone"), { recursive: true });
  const setup = bed.describe([skipped, memory], { history: sizes({ gone: [9, 9, 9] }), infoFiles: ["backup_info.txt"] });
  const backup = await bed.run(setup);
  const { manifest } = backup;
  assert.deepEqual([manifest.status, manifest.suspect], ["partial", []]);
  const [gone] = manifest.members;
  assert.deepEqual([gone?.status, gone?.entries, gone?.notes[0]?.code, gone?.readBack.hashes], ["failed", [], "left-out", false]);
  await bed.verify(backup);
  assert.match(
    readFileSync(findFile(bed.vault, "backup_info.txt"), "utf8"),
    /^gone \(files\): failed\n {2}partial: it is not there and was left out: /m,
  );
  assert.match(readFileSync(findFile(bed.vault, "RESTORE.txt"), "utf8"), /^gone \(files\)\n {2}# is not in this backup$/m);

  const before = bed.listVault();
  for (const others of [[], [{ ...memory, options: { include: [join(bed.dir, "nowhere/*")], optional: true } }]])
    await assert.rejects(bed.run(bed.describe([skipped, ...others])), {
      code: "source-missing",
      message: /^Nothing to back up in job ".*", none of its datastores is there: "gone": /,
    });
  // A file that is no database is there, and no reason to leave it out.
  writeFileSync(join(bed.dir, "app.db"), "");
  const empty = { name: "app", kind: "sqlite", options: { path: join(bed.dir, "app.db") }, shrink: "off", onMissing: "skip" } as const;
  await assert.rejects(bed.run(bed.describe([memory, empty])), { code: "source-empty" });
  assert.deepEqual(bed.listVault(), before);
});

test("F50 a source that goes away while the run is on fails it", async () => {
  await using bed = await openBackupBed();
  const datastores = [makeFiles(bed, "first"), makeFiles(bed, "second")];
  const remove = ({ phase }: Progress): void => {
    if (phase === "reading back") rmSync(join(bed.dir, "second"), { recursive: true, force: true });
  };
  // The first is read back by hashes only, so its phase tells that the second was probed and not yet dumped.
  await assert.rejects(bed.run(bed.describe(datastores), remove), { code: "source-missing" });
  assert.deepEqual(bed.listVault(), []);
});

test("F24 bytes that the destination does not give back as they were stored are never published", async () => {
  await using bed = await openBackupBed();
  const source = makeFiles(bed, "memory");
  const spoil = (where: "stored" | "cut") => (progress: Progress) => {
    if (progress.phase !== "reading back") return;
    const path = findFile(bed.vault, "data.bin");
    if (where === "cut") truncateSync(path, 999);
    else writeFileSync(path, readFileSync(path).fill("x", 500, 501));
  };
  for (const where of ["stored", "cut"] as const)
    await assert.rejects(bed.run(bed.describe([source]), spoil(where)), { code: "backup-damaged" }, where);
  assert.deepEqual(bed.listVault(), []);
});

test("F24 a spool that reads otherwise than it was written never becomes an archive", async () => {
  await using bed = await openBackupBed();
  const source = makeFiles(bed, "memory");
  const spoil = ({ phase }: Progress): void => {
    if (phase === "publishing") appendFileSync(findFile(bed.staging, "1.spool"), "x");
  };
  const setup = bed.describe([source], { layout: "archive", compression: { method: "gzip", level: 6 } });
  await assert.rejects(bed.run(setup, spoil), { code: "backup-damaged" });
  assert.deepEqual(bed.listVault(), []);
});

test("F14 A15 a disk that fills up against the forecast fails the run, and what was there stays good", async () => {
  await using bed = await openBackupBed();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=20m,mode=755", "none", bed.vault]);
  using _unmount = onExit(() => execFileSync("umount", ["--lazy", bed.vault]));
  await bed.initialize();
  const source = makeFiles(bed, "memory", { bytes: 100 });
  const earlier = await bed.run(bed.describe([source]));
  const before = bed.listVault();
  writeFileSync(join(bed.dir, "memory/data.bin"), Buffer.alloc(40 << 20, "incompressible as it is stored"));
  for (const layout of ["directory", "archive"] as const) {
    await assert.rejects(bed.run(bed.describe([source], { layout })), { code: "no-space", message: /^This run may need/ });
    // The source has never been like this: its history promises a tenth of a percent.
    writeFileSync(join(bed.dir, "memory/data.bin"), execFileSync("head", ["-c", "40000000", "/dev/urandom"], { maxBuffer: 1 << 26 }));
    const history = { ...sizes({}), ratios: { memory: 0.001 } };
    const setup = bed.describe([source], { layout, history, compression: { method: "gzip", level: 1 } });
    await assert.rejects(
      bed.run(setup),
      ({ code, message }: { readonly code: string } & Error) => code === "no-space" && !message.startsWith("This run"),
    );
    assert.deepEqual(bed.listVault(), before);
    await bed.verify(earlier);
  }
});

test("F30 a damaged source is kept as partial, never as good", async () => {
  await using bed = await openBackupBed();
  const path = join(bed.dir, "app.db");
  execFileSync(process.execPath, ["-e", makeDatabase, path], { cwd: process.cwd() });
  const source: DatastoreSetup = { name: "memory", kind: "sqlite", options: { path }, shrink: "off" };
  const whole = await bed.run(bed.describe([source]));
  assert.equal(whole.manifest.status, "ok");
  const bytes = readFileSync(path);
  // An index that says something else than its table.
  const at = bytes.lastIndexOf("needle");
  writeFileSync(path, bytes.fill("x", at, at + 6));
  const damaged = await bed.run(bed.describe([source]));
  assert.equal(damaged.manifest.status, "partial");
  assert.ok(damaged.manifest.members[0]?.notes.some(({ level }) => level === "partial"));
  await bed.verify(damaged);
});

const makeDatabase = `
  const Database = require("better-sqlite3");
  const database = new Database(process.argv[1]);
  database.exec("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('needle'), ('hay'); CREATE INDEX i ON t (a)");
  database.close();`;

test("two runs of one second get names of their own", async () => {
  await using bed = await openBackupBed();
  const source = makeFiles(bed, "memory");
  const facts: Partial<BackupSetup> = { nameTemplate: "always", layout: "archive" };
  const names: string[] = [];
  for (let index = 0; index < 3; index += 1) names.push((await bed.run(bed.describe([source], facts))).manifest.name);
  assert.deepEqual(names, ["always.tar", "always-2.tar", "always-3.tar"]);
});

test("W8 F50 a database that lost most of its rows is suspect even when its file is as large as ever", async () => {
  await using bed = await openBackupBed();
  const path = join(bed.dir, "chat.db");
  const run = (sql: string): Buffer => execFileSync("sqlite3", [path, sql]);
  run("CREATE TABLE message (text); INSERT INTO message SELECT 'some text' FROM generate_series(1, 2000)");
  const chat: DatastoreSetup = { name: "chat", kind: "sqlite", options: { path }, shrink };
  const whole = await bed.run(bed.describe([chat]));
  const { contents, entries } = whole.manifest.members[0] ?? assert.fail();
  const bytes = entries[0]?.plain.bytes ?? 0;
  const history = { ...sizes({ chat: [bytes, bytes, bytes] }), items: { chat: [2000, 1900, 2000] } };
  assert.equal(contents.counts["rows.message"], 2000);
  assert.deepEqual((await bed.run(bed.describe([chat], { history }))).manifest.suspect, []);
  run("DELETE FROM message WHERE rowid > 5");
  const { manifest } = await bed.run(bed.describe([chat], { history }));
  assert.equal(manifest.members[0]?.entries[0]?.plain.bytes, bytes, "the file is no smaller");
  assert.deepEqual(manifest.suspect, ["chat has 5 rows or keys; the last 3 backups had 2000 rows or keys in the middle"]);
  // A handful tells nothing.
  const few = { ...history, items: { chat: [11, 12, 11] } };
  assert.deepEqual((await bed.run(bed.describe([chat], { history: few }))).manifest.suspect, []);
});
