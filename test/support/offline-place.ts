import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { createInstallation, type CallResult, type Installation } from "./daemon.ts";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));

/** A machine that is gone, with its data, and what a person has after that: its backups, one of each layout, copied by `cp -r`. */
export class OfflinePlace implements AsyncDisposable {
  readonly dir: string;
  readonly installation: Installation;
  /** The backup of each layout, below the copy. */
  readonly paths: Readonly<Record<"archive" | "directory" | "file", string>>;

  private constructor(dir: string, installation: Installation) {
    const find = (folder: string, wanted: RegExp): string => {
      const name = readdirSync(join(dir, "backups", folder)).find((each) => wanted.test(each));
      assert.ok(name !== undefined);
      return join(folder, name);
    };
    this.dir = dir;
    this.installation = installation;
    this.paths = { archive: find("night", /\.tar\.gz$/), directory: find("trees", /^trees_\d+$/), file: find("single", /\.db$/) };
  }

  /** Makes the backups by a daemon, which is then killed, and takes away all that is Holdfast's own. Expensive. */
  static async open(): Promise<OfflinePlace> {
    const dir = mkdtempSync(join(tmpdir(), "off-"));
    chmodSync(dir, 0o755);
    writeOld(join(dir, "srv"));
    const installation = await createInstallation({ dir, config: createConfig(dir, ""), init: ["local"] });
    await using daemon = await installation.start();
    for (const job of ["night", "trees", "single"]) succeed(await installation.holdfast(["backup", job]));
    await daemon.kill();
    // All that is Holdfast's own is lost with the machine; the backups were copied in time, without the marker.
    rmSync(join(dir, "state"), { recursive: true });
    cpSync(join(dir, "backups"), join(dir, "pristine"), { recursive: true });
    rmSync(join(dir, "pristine/.holdfast-destination.json"), { force: true });
    return new OfflinePlace(dir, installation);
  }

  /** The live data, where the jobs back it up from. */
  get live(): string {
    return join(this.dir, "srv");
  }

  get copy(): string {
    return join(this.dir, "copy");
  }

  /** As it is when the emergency begins: the copy is whole, and the data is newer than it. */
  reset(): void {
    for (const path of ["fresh", "elsewhere"]) rmSync(join(this.dir, path), { recursive: true, force: true });
    this.copyAgain();
    writePresent(this.live);
  }

  copyAgain(): void {
    rmSync(this.copy, { recursive: true, force: true });
    cpSync(join(this.dir, "pristine"), this.copy, { recursive: true });
  }

  /** With more for the job `night`. */
  writeConfig(extra = ""): string {
    return createConfig(this.dir, extra);
  }

  readMemory(path = join(this.live, "memory.db")): readonly number[] {
    const database = new Database(path, { readonly: true });
    try {
      return database.prepare("select id from memory order by id").pluck().all() as number[];
    } finally {
      database.close();
    }
  }

  nameOf(layout: keyof OfflinePlace["paths"]): string {
    return basename(this.paths[layout]);
  }

  /** The command line as it is run in an emergency: no HOME, no PATH, no config. */
  async holdfast(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CallResult> {
    const marker = process.env["HOLDFAST_TEST_RUN"];
    const child = spawn(program, args, {
      env: {
        HOLDFAST_STATE_DIR: join(this.dir, "fresh/state"),
        HOLDFAST_RUNTIME_DIR: join(this.dir, "fresh/run"),
        HOLDFAST_HOSTNAME: "newhost",
        HOLDFAST_HOOKS: "direct",
        TMPDIR: tmpdir(),
        ...(marker === undefined ? {} : { HOLDFAST_TEST_RUN: marker }),
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const collected = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        collected[name] += text;
      });
    const [status] = (await once(child, "close")) as [number | null];
    return { status: status ?? 137, ...collected };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.installation[Symbol.asyncDispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function createConfig(dir: string, extra: string): string {
  const live = join(dir, "srv");
  return `
settings: { hostname: oldhost }
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  memory: { kind: sqlite, path: ${live}/memory.db }
  caches: { kind: files, include: ["${live}/*-embedding.bin"], optional: true }
  notes: { kind: files, root: ${live}/notes }
jobs:
  night:
    { datastores: [memory, caches], destination: local, layout: archive, name: "night_{YYYYMMDD}", compression: gzip, infoFiles: [backup_info.txt]${extra} }
  trees: { datastores: [memory, notes], destination: local, layout: directory, name: "trees_{YYYYMMDD}", compression: zstd }
  single: { datastores: [memory], destination: local, layout: file, name: "single_{YYYYMMDD}", compression: none }
`;
}

function writeMemory(live: string, rows: readonly number[]): void {
  const database = new Database(join(live, "memory.db"));
  database.exec("create table memory (id integer primary key)");
  for (const row of rows) database.prepare("insert into memory values (?)").run(row);
  database.close();
}

/** What was backed up. */
function writeOld(live: string): void {
  mkdirSync(join(live, "notes/deep"), { recursive: true });
  writeMemory(live, [1, 2, 3]);
  for (const name of ["a", "b"]) writeFileSync(join(live, `${name}-embedding.bin`), `old ${name}`);
  writeFileSync(join(live, "notes/deep/one.txt"), "old note");
}

/** What is there when the emergency begins. */
function writePresent(live: string): void {
  rmSync(live, { recursive: true, force: true });
  mkdirSync(join(live, "notes"), { recursive: true });
  writeMemory(live, [1, 2, 3, 99]);
  writeFileSync(join(live, "b-embedding.bin"), "new b");
  writeFileSync(join(live, "c-embedding.bin"), "new c");
  writeFileSync(join(live, "notes/two.txt"), "new note");
}

/** Every name, mode and content below a directory. */
export function fingerprint(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .toSorted()
    .map((name) => {
      const stats = lstatSync(join(path, name));
      const content = stats.isFile()
        ? createHash("sha256")
            .update(readFileSync(join(path, name)))
            .digest("hex")
        : "";
      return `${name} ${stats.mode.toString(8)} ${content}`;
    });
}

export function succeed(result: CallResult): string {
  assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** The arguments of the command that a restore has named for its undoing. */
export function readUndo(output: string): readonly string[] {
  const line = output.split("\n").find((each) => each.startsWith("To undo: holdfast "));
  assert.ok(line !== undefined, output);
  return line.slice("To undo: holdfast ".length).split(" ");
}
