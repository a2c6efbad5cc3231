import Database from "better-sqlite3";
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createId } from "../../src/base/ids.ts";
import type { Hook } from "../../src/config/config.ts";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runBackup } from "../../src/operations/backup.ts";
import type { RemovalSetup } from "../../src/operations/remove-backups.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import type { BackupSetup, DatastoreSetup, TaskPorts } from "../../src/operations/setup.ts";
import type { BackupAddress } from "../../src/operations/verify.ts";
import { runOrThrow } from "./local-place.ts";
import { execute } from "./sqlite.ts";

export type Layout = "directory" | "archive" | "file";
export const datastoreNames = ["memory", "tree", "loose"] as const;
export type DatastoreName = (typeof datastoreNames)[number];

export const never = new AbortController().signal;
export const quietPorts: TaskPorts = { now: () => Date.now(), progress: () => undefined, log: () => undefined };

/** Everything that operations touch, in one directory that can be copied: an application's data, a destination, state. */
export interface SmallWorld {
  readonly root: string;
}

export const worldPaths = (root: string) => ({
  app: join(root, "app"),
  database: join(root, "app", "memory.db"),
  tree: join(root, "app", "tree"),
  loose: join(root, "app", "loose"),
  vault: join(root, "vault"),
  staging: join(root, "staging"),
  journals: join(root, "state", "restores"),
  running: join(root, "running"),
  /** TMPDIR of the operations: what a killed one leaves there goes with the world. */
  temporary: join(root, "tmp"),
});

/** A new world with small data of all kinds, an application that runs, and an empty destination. */
export async function makeWorld(): Promise<SmallWorld & AsyncDisposable> {
  const root = mkdtempSync(join(tmpdir(), "world-"));
  chmodSync(root, 0o755);
  const { tree, loose, database, vault, staging, running, temporary } = worldPaths(root);
  for (const path of [tree, loose, vault, staging, temporary]) mkdirSync(path, { recursive: true, mode: 0o750 });
  chmodSync(join(root, "app"), 0o755);
  execute(database, "PRAGMA page_size = 512; CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('first')");
  mkdirSync(join(tree, "deep"), { mode: 0o700 });
  writeFileSync(join(tree, "deep", "a.txt"), "old a", { mode: 0o640 });
  symlinkSync("deep/a.txt", join(tree, "link"));
  writeFileSync(join(loose, "one.bin"), "old one", { mode: 0o640 });
  writeFileSync(join(loose, "two.bin"), "old two", { mode: 0o600 });
  writeFileSync(running, "");
  await using destination = await localDestination.configure({ path: vault }).open({ name: "local" });
  await destination.initialize("init", never);
  return openWorld(root);
}

/** Changes every datastore: contents, what is there, and modes. */
export function changeWorld({ root }: SmallWorld): void {
  const { tree, loose, database } = worldPaths(root);
  execute(database, "INSERT INTO t VALUES ('second'); CREATE TABLE u (b)");
  writeFileSync(join(tree, "deep", "a.txt"), "new a, longer");
  writeFileSync(join(tree, "b.txt"), "new b");
  writeFileSync(join(loose, "one.bin"), "new one");
  writeFileSync(join(loose, "three.bin"), "new three");
  chmodSync(join(loose, "two.bin"), 0o644);
}

/** A copy with names of its own; inodes differ. */
export function copyWorld({ root }: SmallWorld): SmallWorld & AsyncDisposable {
  const copy = mkdtempSync(join(tmpdir(), "world-"));
  runOrThrow("cp", ["-a", `${root}/.`, copy]);
  return openWorld(copy);
}

function openWorld(root: string): SmallWorld & AsyncDisposable {
  return {
    root,
    async [Symbol.asyncDispose]() {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

const describeDestination = (root: string) => ({ name: "local", kind: "local", options: { path: worldPaths(root).vault } });

/** Of one task; what the daemon's dispatcher makes for each. */
const createStaging = (root: string): string => join(worldPaths(root).staging, createId(Date.now()));

function describeDatastore(root: string, name: DatastoreName): DatastoreSetup {
  const { tree, loose, database } = worldPaths(root);
  const options = { memory: { path: database }, tree: { root: tree }, loose: { include: [join(loose, "*.bin")] } }[name];
  return { name, kind: name === "memory" ? "sqlite" : "files", options, shrink: "off" };
}

export function describeBackup(
  { root }: SmallWorld,
  layout: Layout,
  datastores: readonly DatastoreName[],
  compression: BackupSetup["compression"] = { method: "gzip", level: 6 },
): BackupSetup {
  return {
    host: "host",
    version: "0.0.0",
    stagingDir: createStaging(root),
    backupId: createId(Date.now()),
    job: "nightly",
    class: "backup",
    trigger: "test",
    note: null,
    folder: "nightly",
    layout,
    nameTemplate: "b_{YYYYMMDD}_{HHmmss}",
    timezone: "UTC",
    compression,
    infoFiles: [],
    datastores: datastores.map((name) => describeDatastore(root, name)),
    destination: describeDestination(root),
    config: {},
    history: { sequence: 0, previous: null, sizes: {} },
  };
}

/** Makes a backup in this process. */
export async function backUp(
  world: SmallWorld,
  layout: Layout,
  datastores: readonly DatastoreName[],
  compression?: BackupSetup["compression"],
): Promise<BackupResult> {
  return await runBackup(describeBackup(world, layout, datastores, compression), quietPorts, never);
}

export function addressBackup({ root }: SmallWorld, { folder, manifestKey }: Pick<BackupResult, "folder" | "manifestKey">): BackupAddress {
  return { destination: describeDestination(root), folder, key: manifestKey, lone: false };
}

export function describeRestore(
  world: SmallWorld,
  backup: Pick<BackupResult, "folder" | "manifestKey">,
  datastores: readonly DatastoreName[],
): RestoreSetup {
  const { root } = world;
  const { running, journals } = worldPaths(root);
  const hook = (script: string): Hook => ({ command: ["/bin/sh", "-c", script], timeoutMs: 20_000 });
  const layout = datastores.length > 1 ? "archive" : "directory";
  return {
    host: "host",
    version: "0.0.0",
    stagingDir: createStaging(root),
    restoreId: createId(Date.now()),
    address: addressBackup(world, backup),
    job: "nightly",
    members: datastores.map((name) => ({ datastore: name, options: describeDatastore(root, name).options })),
    stop: [hook(`rm '${running}'`)],
    start: [hook(`: > '${running}'`)],
    check: [{ kind: "command", ...hook(`test -e '${running}'`) }] as unknown as RestoreSetup["check"],
    journalDir: journals,
    preRestore: { ...describeBackup(world, layout, datastores), class: "pre-restore", nameTemplate: "pre_{YYYYMMDD}_{HHmmss}" },
    unsavable: "refuse",
    // The calls of a kill campaign come in one order then.
    lanes: 1,
  };
}

export function describeRemoval({ root }: SmallWorld, backups: readonly BackupResult[]): RemovalSetup {
  return {
    host: "host",
    version: "0.0.0",
    stagingDir: createStaging(root),
    destination: describeDestination(root),
    removals: backups.map(({ folder, manifestKey, manifest }) => ({ id: manifest.id, folder, manifestKey, reasons: [] })),
  };
}

/** What the application's data is, as text: names, types, modes, owners, contents; of the database what SQLite reads from it. */
export function readData({ root }: SmallWorld): string {
  return readTree(worldPaths(root).app).replace(/^(memory\.db .*) [0-9a-f]+$/m, (_, head: string) => `${head} ${readDatabase(root)}`);
}

function readDatabase(root: string): string {
  const database = new Database(worldPaths(root).database);
  try {
    const tables = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all() as { name: string; sql: string }[];
    const rows = tables.map(({ name, sql }) => [sql, database.prepare(`SELECT * FROM ${name} ORDER BY 1`).raw().all()]);
    return JSON.stringify([rows, database.pragma("integrity_check", { simple: true })]);
  } finally {
    database.close();
  }
}

/** Paths of everything below a directory, relative to it. Node's own recursion would follow symbolic links. */
export function listTree(directory: string, below = ""): readonly string[] {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap((entry) => {
    const path = join(below, entry.name);
    return entry.isDirectory() ? [path, ...listTree(directory, path)] : [path];
  });
}

export function readTree(directory: string, times: "times" | "no times" = "no times"): string {
  const names = listTree(directory).toSorted();
  return ["", ...names]
    .map((name) => {
      const path = join(directory, name);
      const stats = lstatSync(path, { bigint: true });
      const content = stats.isSymbolicLink()
        ? readlinkSync(path)
        : stats.isFile()
          ? createHash("sha256").update(readFileSync(path)).digest("hex")
          : "directory";
      const time = times === "times" ? ` ${stats.mtimeNs} ${stats.ino}` : "";
      return `${name} ${(stats.mode & 0o7777n).toString(8)} ${stats.uid}:${stats.gid} ${content}${time}`;
    })
    .join("\n");
}

/** Everything in a world's application directory that belongs to one datastore. */
export function readDatastore({ root }: SmallWorld, name: DatastoreName): string {
  const { app, tree, loose, database } = worldPaths(root);
  if (name === "memory") {
    const files = readdirSync(app).filter((file) => file.includes("memory.db"));
    return (
      files
        .map(
          (file) =>
            `${file} ${createHash("sha256")
              .update(readFileSync(join(app, file)))
              .digest("hex")}`,
        )
        .join("\n") + database.slice(root.length)
    );
  }
  return readTree(name === "tree" ? tree : loose);
}
