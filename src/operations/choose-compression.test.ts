import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openBackupBed, type BackupBed } from "../../test/support/backup-bed.ts";
import { withConfigFiles } from "../../test/support/config-files.ts";
import type { Compression } from "../archive/compression.ts";
import { loadConfig } from "../config/load-config.ts";
import { chooseCompression } from "./choose-compression.ts";
import { findRatio } from "./forecast.ts";
import type { DatastoreSetup } from "./setup.ts";

/** Files that pack well, and a tree, each with the compression that it is given. */
function makeSources(bed: BackupBed, compressions: Readonly<Record<string, Compression>>): readonly DatastoreSetup[] {
  return ["postgresql_backup.sql", "redis_backup.rdb", "chromadb_backup", "neo4j_backup"].map((name): DatastoreSetup => {
    const path = join(bed.dir, "sources", name);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, name), `${name} `.repeat(1000));
    const options = name.includes(".") ? { include: [join(path, name)] } : { root: path };
    const compression = compressions[name];
    return { name, kind: "files", options, shrink: "off", ...(compression === undefined ? {} : { compression }) };
  });
}

test("W1 D10 in one backup some files are as they are and others gzip; all are read back, and RESTORE.txt has the right command for each", async () => {
  await using bed = await openBackupBed();
  const sources = makeSources(bed, { chromadb_backup: { method: "gzip" }, neo4j_backup: { method: "zstd", level: 9 } });
  const backup = await bed.run(bed.describe(sources, { infoFiles: ["backup_info.txt"] }));
  const made = join(bed.vault, backup.manifest.name);
  const files = readdirSync(made).filter((name) => /_backup\.(sql|rdb|tar)/.test(name));
  assert.deepEqual(files.toSorted(), ["chromadb_backup.tar.gz", "neo4j_backup.tar.zst", "postgresql_backup.sql", "redis_backup.rdb"]);
  await bed.verify(backup);
  assert.match(execFileSync("tar", ["-tzf", join(made, "chromadb_backup.tar.gz")], { encoding: "utf8" }), /chromadb_backup/);
  const info = readFileSync(join(made, "backup_info.txt"), "utf8");
  assert.match(info, /^ {2}postgresql_backup\.sql {2}21\.5 KiB$/m);
  assert.match(info, /^ {2}chromadb_backup\.tar\.gz {2}\d+ B \(\d+(\.\d)? KiB unpacked\)$/m);
  rmSync(join(bed.dir, "sources"), { recursive: true });
  const commands = readFileSync(join(made, "RESTORE.txt"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("  "));
  execFileSync("sh", ["-e"], { cwd: made, input: commands.join("\n") });
  for (const name of sources.map((source) => source.name))
    assert.equal(readFileSync(join(bed.dir, "sources", name, name), "utf8"), `${name} `.repeat(1000));
});

test("D10 an archive is one stream for plain tools: of a compression of its own a datastore has the level, not the method", async () => {
  await using bed = await openBackupBed();
  const gzip: Compression = { method: "gzip", level: 1 };
  const sources = makeSources(bed, { chromadb_backup: { method: "gzip", level: 9 }, "redis_backup.rdb": { method: "none" } });
  const setup = bed.describe(sources, { layout: "archive", compression: gzip });
  assert.deepEqual(chooseCompression(setup, "chromadb_backup"), { method: "gzip", level: 9 });
  assert.deepEqual(chooseCompression(setup, "redis_backup.rdb"), gzip);
  const backup = await bed.run(setup);
  await bed.verify(backup);
  const listed = execFileSync("tar", ["-tzf", join(bed.vault, backup.manifest.name)], { encoding: "utf8" });
  for (const { name } of sources) assert.ok(listed.includes(name), listed);
});

test("P1 the one file of the layout file has the ending of the datastore's own compression", async () => {
  await using bed = await openBackupBed();
  const [sql] = makeSources(bed, { "postgresql_backup.sql": { method: "gzip" } });
  const { manifest } = await bed.run(bed.describe(sql === undefined ? [] : [sql], { layout: "file" }));
  assert.match(manifest.name, /\.sql\.gz$/);
  assert.equal(execFileSync("gzip", ["-dc", join(bed.vault, manifest.name)]).length, 22_000);
});

test("A15 what a datastore may need is told by its own compression", () => {
  const history = { sequence: 1, previous: null, sizes: {}, ratios: { a: 0.1, b: 0.1 } };
  const datastores = [{ name: "a", kind: "files", options: {}, shrink: "off", compression: { method: "none" } } as const];
  const setup = { compression: { method: "gzip" }, layout: "directory", history, datastores } as const;
  assert.deepEqual([findRatio("a", setup), findRatio("b", setup)], [undefined, 0.1]);
});

const config = (compression: string, layout: string): string => `destinations: { d: { kind: local, path: /b } }
datastores: { s: { kind: sqlite, path: /s.db, compression: ${compression} } }
jobs: { j: { datastores: [s], destination: d, layout: ${layout}, compression: zstd } }
`;

test("F67 a method that an archive cannot have is refused where it stands, another level is not", async () => {
  const load = (compression: string, layout: string) =>
    withConfigFiles({ "holdfast.yaml": config(compression, layout) }, (directory) =>
      loadConfig({ path: `${directory}/holdfast.yaml`, env: {}, flags: {} }),
    );
  const { datastores } = await load("gzip:9", "directory");
  assert.deepEqual(datastores.get("s")?.compression, { method: "gzip", level: 9 });
  await load("zstd:9", "archive");
  await assert.rejects(
    load("gzip", "archive"),
    /datastores\.s\.compression: the job "j" packs it into one archive, compressed as a whole by zstd/,
  );
  await assert.rejects(load("zip", "directory"), /expected none, gzip, zstd/);
});
