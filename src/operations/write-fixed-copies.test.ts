import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { openBackupBed, type BackupBed } from "../../test/support/backup-bed.ts";
import type { FixedCopy } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { listOccupied } from "../config/occupied-places.ts";
import { checkFixedCopies } from "./check/check-fixed-copies.ts";
import type { BackupSetup, DatastoreSetup } from "./setup.ts";

const nobody = 65534;

interface Bed extends BackupBed {
  readonly app: string;
  readonly datastore: DatastoreSetup;
  insert(value: number): void;
  copy(facts?: Partial<FixedCopy>): FixedCopy;
}

/** A database with a job, and the directory of an application that reads its copy. */
async function openBed(): Promise<Bed> {
  const bed = await openBackupBed();
  const path = join(bed.dir, "live.db");
  const run = (sql: string): void => {
    const database = new Database(path);
    database.exec(sql);
    database.close();
  };
  run("create table t (a)");
  const app = join(bed.dir, "app");
  mkdirSync(app);
  chownSync(app, nobody, nobody);
  return Object.assign(bed, {
    app,
    datastore: { name: "live", kind: "sqlite", options: { path }, shrink: "off" as const },
    insert: (value: number) => run(`insert into t values (${value})`),
    copy: (facts: Partial<FixedCopy> = {}) => ({ datastore: "live", path: join(app, "backup.db"), mode: 0o640, ...facts }),
  });
}

function readValues(path: string): readonly unknown[] {
  const database = new Database(path, { readonly: true });
  try {
    return database.prepare("select a from t").pluck().all();
  } finally {
    database.close();
  }
}

const problemOf = async (bed: Bed, copy: FixedCopy, facts: Partial<BackupSetup> = {}): Promise<string> => {
  const { fixedCopies, manifest } = await bed.run(bed.describe([bed.datastore], { fixedCopies: [copy], ...facts }));
  assert.equal(manifest.status, "ok");
  return fixedCopies[0]?.problem ?? "";
};

test("A1 the copy under a fixed name is the datastore's plain file, whatever the layout and compression, replaced at once", async () => {
  await using bed = await openBed();
  const ways = [
    { layout: "directory", compression: { method: "zstd" } },
    { layout: "archive", compression: { method: "gzip" } },
    { layout: "file", compression: { method: "none" } },
  ] as const;
  for (const [at, way] of ways.entries()) {
    bed.insert(at);
    const { fixedCopies } = await bed.run(bed.describe([bed.datastore], { ...way, fixedCopies: [bed.copy()] }));
    assert.deepEqual(fixedCopies, [{ datastore: "live", path: join(bed.app, "backup.db"), problem: null }]);
    assert.deepEqual(readValues(join(bed.app, "backup.db")), [0, 1, 2].slice(0, at + 1));
    assert.deepEqual(readdirSync(bed.app), ["backup.db"]);
  }
  assert.equal(readdirSync(bed.vault).filter((name) => name.startsWith("b_")).length >= ways.length, true);
});

test("A1 it belongs to the application: to the directory's owner, to that of the file before, or to the one that is named", async () => {
  await using bed = await openBed();
  const path = join(bed.app, "backup.db");
  const look = (): readonly number[] => {
    const { uid, gid, mode } = statSync(path);
    return [uid, gid, mode & 0o7777];
  };
  assert.equal(await problemOf(bed, bed.copy()), "");
  assert.deepEqual(look(), [nobody, nobody, 0o640]);
  chownSync(path, 1, 2);
  assert.equal(await problemOf(bed, bed.copy({ mode: 0o444 })), "");
  assert.deepEqual(look(), [1, 2, 0o444]);
  assert.equal(await problemOf(bed, bed.copy({ owner: "daemon:65534" })), "");
  assert.deepEqual(look(), [1, nobody, 0o640]);
  assert.match(await problemOf(bed, bed.copy({ owner: "nobody-here:daemon" })), /there is no user "nobody-here"/);
});

test("A1 a failure leaves the copy as it was and nothing half-written, and is told with its remedy", async () => {
  await using bed = await openBed();
  const path = join(bed.app, "backup.db");
  writeFileSync(path, "the last good one");
  const before = (): void => {
    assert.equal(readFileSync(path, "utf8"), "the last good one");
    assert.deepEqual(readdirSync(bed.app), ["backup.db"]);
  };
  const history = { sequence: 3, previous: null, sizes: { live: [1e9, 1e9, 1e9] } };
  const suspicious = { ...bed.datastore, shrink: { ratio: 0.5, minHistory: 3 } };
  assert.match(await problemOf(bed, bed.copy(), { datastores: [suspicious], history }), /the backup is suspect/);
  before();
  const gone = { name: "gone", kind: "files", options: { include: [join(bed.dir, "gone/*")], optional: true }, shrink: "off" } as const;
  const absent = await bed.run(bed.describe([bed.datastore, gone], { fixedCopies: [bed.copy({ datastore: "gone" })] }));
  assert.match(absent.fixedCopies[0]?.problem ?? "", /Cannot replace .*backup\.db by "gone": the datastore was not there/);
  before();
  assert.match(await problemOf(bed, bed.copy({ path: join(bed.dir, "nowhere/backup.db") })), /nowhere is not there \(Make it: mkdir -p /);
  writeFileSync(`${path}-wal`, "somebody's");
  assert.match(await problemOf(bed, bed.copy()), /backup\.db-wal is there: a program writes to the copy/);
  rmSync(`${path}-wal`);
  before();
});

test("A1 a copy is not led elsewhere by links, and a directory or a leftover in its place is no harm", async () => {
  await using bed = await openBed();
  const path = join(bed.app, "backup.db");
  const victim = join(bed.dir, "victim");
  writeFileSync(victim, "untouched");
  symlinkSync(victim, path);
  assert.match(await problemOf(bed, bed.copy()), /backup\.db is a link, and is not replaced/);
  rmSync(path);
  mkdirSync(path);
  assert.match(await problemOf(bed, bed.copy()), /backup\.db is no file/);
  rmSync(path, { recursive: true });
  symlinkSync(victim, join(bed.app, ".backup.db.holdfast"));
  assert.equal(await problemOf(bed, bed.copy()), "");
  assert.equal(readFileSync(victim, "utf8"), "untouched");
  assert.deepEqual(readdirSync(bed.app), ["backup.db"]);
  renameSync(bed.app, `${bed.app}-real`);
  symlinkSync(`${bed.app}-real`, bed.app);
  assert.match(await problemOf(bed, bed.copy()), /app is no directory, or a link \(Name the real directory\.\)/);
});

test("A1 a datastore of several files, and one that the job lacks, cannot have a copy", async () => {
  await using bed = await openBed();
  const files = join(bed.dir, "files");
  mkdirSync(files);
  for (const name of ["a", "b"]) writeFileSync(join(files, name), name);
  chmodSync(files, 0o755);
  const several = { name: "several", kind: "files", options: { include: [join(files, "*")] }, shrink: "off" } as const;
  const copies = [bed.copy({ datastore: "several" }), bed.copy({ datastore: "other" }), bed.copy()];
  const { fixedCopies } = await bed.run(bed.describe([bed.datastore, several], { fixedCopies: copies }));
  assert.match(fixedCopies[0]?.problem ?? "", /it is no single file in the backup, but 2 files/);
  assert.match(fixedCopies[1]?.problem ?? "", /has no datastore "other"/);
  assert.equal(fixedCopies[2]?.problem, null);
});

test("A1 F32 a copy never replaces what is backed up or a backup, under whatever name: neither its check nor the backup lets it", async () => {
  await using bed = await openBed();
  mkdirSync(join(bed.dir, "site/cache"), { recursive: true });
  linkSync(join(bed.dir, "live.db"), join(bed.app, "hard.db"));
  symlinkSync("..", join(bed.dir, "up"));
  const here = join(bed.dir, "up", basename(bed.dir));
  const cases: readonly (readonly [string, RegExp])[] = [
    [join(here, "live.db"), /live\.db \(.*\) is the datastore "live" itself/],
    [join(here, "app/hard.db"), /hard\.db .* is the datastore "live" itself/],
    [join(here, "site/x.db"), /lies in the datastore "site" \(.*move it, or exclude it there/],
    [join(here, "app/x.bin"), /lies in the datastore "bins"/],
    [join(here, "vault/x.db"), /lies in the destination "local" .*the place of a backup/],
    [join(here, "app/backup.db"), /^$/],
    [join(here, "site/cache/backup.db"), /^$/],
  ];
  const dir = bed.dir;
  const text = `destinations: { local: { kind: local, path: ${dir}/vault } }
datastores: { live: { kind: sqlite, path: ${dir}/live.db }, site: { kind: files, root: ${dir}/site, exclude: [cache] }, bins: { kind: files, include: ["${dir}/app/*.bin"] } }
jobs: { nightly: { datastores: [live], destination: local, fixedCopies: [${cases.map(([path]) => `{ datastore: live, path: ${path} }`).join(", ")}] } }
`;
  writeFileSync(join(dir, "c.yaml"), text);
  const config = await loadConfig({ path: join(dir, "c.yaml"), env: {}, flags: {} });
  const findings = await checkFixedCopies(config, new AbortController().signal);
  const { ino } = statSync(join(dir, "live.db"));
  for (const [at, [path, problem]] of cases.entries()) {
    const occupied = listOccupied(config);
    assert.match((await problemOf(bed, bed.copy({ path }), { occupied })).replace(/^.* by "live": /, ""), problem, path);
    const told = findings[at];
    assert.equal(told?.level, problem.test("") ? "ok" : "fail", path);
    if (!problem.test("")) assert.match(told?.detail ?? "", problem, path);
    assert.equal(statSync(join(dir, "live.db")).ino, ino);
  }
  assert.deepEqual(readdirSync(join(dir, "site")), ["cache"]);
});
