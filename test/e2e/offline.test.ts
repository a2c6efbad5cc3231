import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { createInstallation, type CallResult, type Installation } from "../support/daemon.ts";
import { assertGolden } from "../support/golden.ts";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));
const layouts = ["archive", "directory", "file"] as const;

/** The backup of each layout, below the copy. */
const paths = { archive: "", directory: "", file: "" };

/** The live data, where the jobs back it up from. */
let live: string;
/** What a person has after the machine is gone: the backups, copied by `cp -r`. */
let copy: string;
let dir: string;
let installation: Installation;

function writeConfig(extra = ""): string {
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

function writeMemory(rows: readonly number[]): void {
  rmSync(join(live, "memory.db"), { force: true });
  const database = new Database(join(live, "memory.db"));
  database.exec("create table memory (id integer primary key)");
  for (const row of rows) database.prepare("insert into memory values (?)").run(row);
  database.close();
}

function readMemory(path = join(live, "memory.db")): readonly number[] {
  const database = new Database(path, { readonly: true });
  try {
    return database.prepare("select id from memory order by id").pluck().all() as number[];
  } finally {
    database.close();
  }
}

const nameOf = (layout: keyof typeof paths): string => basename(paths[layout]);

/** What was backed up. */
function writeOld(): void {
  rmSync(live, { recursive: true, force: true });
  mkdirSync(join(live, "notes/deep"), { recursive: true });
  writeMemory([1, 2, 3]);
  for (const name of ["a", "b"]) writeFileSync(join(live, `${name}-embedding.bin`), `old ${name}`);
  writeFileSync(join(live, "notes/deep/one.txt"), "old note");
}

/** What is there when the emergency begins. */
function writePresent(): void {
  rmSync(live, { recursive: true, force: true });
  mkdirSync(join(live, "notes"), { recursive: true });
  writeMemory([1, 2, 3, 99]);
  writeFileSync(join(live, "b-embedding.bin"), "new b");
  writeFileSync(join(live, "c-embedding.bin"), "new c");
  writeFileSync(join(live, "notes/two.txt"), "new note");
}

/** Every name, mode and content below a directory. */
function fingerprint(path: string): readonly string[] {
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

/** The command line as it is run in an emergency: no HOME, no PATH, no config. */
async function holdfast(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CallResult> {
  const marker = process.env["HOLDFAST_TEST_RUN"];
  const child = spawn(program, args, {
    env: {
      HOLDFAST_STATE_DIR: join(dir, "fresh/state"),
      HOLDFAST_RUNTIME_DIR: join(dir, "fresh/run"),
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

function succeed(result: CallResult): string {
  assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
  return result.stdout;
}

function readUndo(output: string): readonly string[] {
  const line = output.split("\n").find((each) => each.startsWith("To undo: holdfast "));
  assert.ok(line !== undefined, output);
  return line.slice("To undo: holdfast ".length).split(" ");
}

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "off-"));
  chmodSync(dir, 0o755);
  live = join(dir, "srv");
  copy = join(dir, "copy");
  writeOld();
  installation = await createInstallation({ dir, config: writeConfig(), init: ["local"] });
  await using daemon = await installation.start();
  for (const job of ["night", "trees", "single"]) succeed(await installation.holdfast(["backup", job]));
  await daemon.kill();
  const find = (folder: string, wanted: RegExp): string => {
    const name = readdirSync(join(dir, "backups", folder)).find((each) => wanted.test(each));
    assert.ok(name !== undefined);
    return join(folder, name);
  };
  Object.assign(paths, { archive: find("night", /\.tar\.gz$/), directory: find("trees", /^trees_\d+$/), file: find("single", /\.db$/) });
  // All that is Holdfast's own is lost with the machine; the backups were copied in time, without the marker.
  rmSync(join(dir, "state"), { recursive: true });
  cpSync(join(dir, "backups"), join(dir, "pristine"), { recursive: true });
  rmSync(join(dir, "pristine/.holdfast-destination.json"), { force: true });
});

beforeEach(() => {
  for (const path of ["fresh", "copy", "elsewhere"]) rmSync(join(dir, path), { recursive: true, force: true });
  cpSync(join(dir, "pristine"), copy, { recursive: true });
  writePresent();
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

for (const layout of layouts) {
  test(`D10 W13 a copied backup of layout ${layout} restores with no daemon, state, marker or config, and can be undone`, async () => {
    const before = fingerprint(live);
    const output = succeed(await holdfast(["restore", "--offline", join(copy, paths[layout]), "--yes"]));
    assert.deepEqual(readMemory(), [1, 2, 3]);
    if (layout === "archive") assert.deepEqual(readdirSync(live).toSorted(), ["a-embedding.bin", "b-embedding.bin", "memory.db", "notes"]);
    if (layout === "directory") assert.equal(readFileSync(join(live, "notes/deep/one.txt"), "utf8"), "old note");
    succeed(await holdfast(readUndo(output)));
    assert.deepEqual(readMemory(), [1, 2, 3, 99]);
    // A database is copied page by page into a file of its own; everything else is as it was to the byte.
    const others = (lines: readonly string[]): readonly string[] => lines.filter((line) => !line.startsWith("memory.db"));
    assert.deepEqual(others(fingerprint(live)), others(before));
  });
}

test("D10 everything is gone: the data is restored where there is nothing, and undo takes it away again", async () => {
  rmSync(live, { recursive: true });
  mkdirSync(live);
  writeFileSync(join(live, "b-embedding.bin"), "only this");
  const output = succeed(await holdfast(["restore", "--offline", join(copy, "night"), "--yes"]));
  assert.deepEqual(readdirSync(live).toSorted(), ["a-embedding.bin", "b-embedding.bin", "memory.db"]);
  succeed(await holdfast(readUndo(output)));
  assert.deepEqual(readdirSync(live), ["b-embedding.bin"]);
  assert.equal(readFileSync(join(live, "b-embedding.bin"), "utf8"), "only this");
});

test("D10 an archive that was copied alone, and renamed, restores by the manifest inside", async () => {
  mkdirSync(join(dir, "elsewhere"));
  copyFileSync(join(copy, paths.archive), join(dir, "elsewhere/rescued.tar.gz"));
  assert.match(succeed(await holdfast(["verify", "--offline", join(dir, "elsewhere/rescued.tar.gz")])), /^ok {2}rescued\.tar\.gz is whole/);
  succeed(await holdfast(["restore", "rescued.tar.gz", "--offline", join(dir, "elsewhere"), "--yes"]));
  assert.deepEqual(readMemory(), [1, 2, 3]);
});

test("W13 a backup's directory that was copied under another name restores", async () => {
  cpSync(join(copy, paths.directory), join(dir, "elsewhere"), { recursive: true });
  succeed(await holdfast(["verify", "--offline", join(dir, "elsewhere")]));
  succeed(await holdfast(["restore", "--offline", join(dir, "elsewhere", "manifest.json"), "--yes"]));
  assert.deepEqual(readMemory(), [1, 2, 3]);
});

test("W13 list, show and verify read a copied destination as a whole", async () => {
  const list = succeed(await holdfast(["list", "--offline", copy]));
  assert.deepEqual(
    list
      .trim()
      .split("\n")
      .map((line) => line.split("\t")[0] ?? "")
      .toSorted(),
    [nameOf("archive"), nameOf("file"), nameOf("directory")],
  );
  assert.equal(
    succeed(await holdfast(["list", "night", "--offline", copy]))
      .trim()
      .split("\n").length,
    1,
  );
  const shown = JSON.parse(succeed(await holdfast(["--json", "show", nameOf("archive"), "--offline", copy]))) as {
    readonly manifest: { readonly host: string };
  };
  assert.equal(shown.manifest.host, "oldhost");
  assert.match(succeed(await holdfast(["show", nameOf("directory"), "--offline", copy, "--restore-text"])), /zstd/);
  assert.equal(
    succeed(await holdfast(["verify", "--all", "--offline", copy]))
      .trim()
      .split("\n").length,
    3,
  );
  const before = fingerprint(copy);
  assert.deepEqual(fingerprint(join(dir, "pristine")), before, "reading changed the copy");
});

test("W13 --to restores below a directory and leaves the original places alone", async () => {
  const before = fingerprint(live);
  const target = join(dir, "elsewhere");
  succeed(await holdfast(["restore", nameOf("archive"), "--offline", copy, "--to", target]));
  assert.deepEqual(readMemory(join(target, "memory/memory.db")), [1, 2, 3]);
  assert.deepEqual(readdirSync(target).toSorted(), ["caches", "memory"]);
  assert.deepEqual(readdirSync(join(target, "caches")).toSorted(), ["a-embedding.bin", "b-embedding.bin"]);
  assert.deepEqual(fingerprint(live), before);
  assert.ok(!existsSync(join(dir, "fresh/state/restores")));
});

test("G6 F61 a damaged backup leaves an empty --to directory empty, and a missing one missing", async () => {
  flip(join(copy, paths.archive));
  mkdirSync(join(dir, "elsewhere"));
  for (const target of [join(dir, "elsewhere"), join(dir, "elsewhere/new")]) {
    assert.equal((await holdfast(["restore", nameOf("archive"), "--offline", copy, "--to", target])).status, 6);
    assert.deepEqual(readdirSync(join(dir, "elsewhere")), []);
  }
});

function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x40, at);
  writeFileSync(path, bytes);
}

/** Ways in which an offline restore cannot work, each with what it must say. */
const impossible: readonly { readonly name: string; readonly args: () => readonly string[]; readonly break?: () => void }[] = [
  { name: "unknown name", args: () => ["restore", "nihgt", "--offline", copy, "--yes"] },
  { name: "directory missing", args: () => ["restore", nameOf("archive"), "--offline", `${dir}/nowhere/backups`, "--yes"] },
  { name: "file missing", args: () => ["restore", "--offline", `${copy}/${paths.archive.replace("gz", "zst")}`, "--yes"] },
  { name: "nothing there", args: () => ["restore", "latest", "--offline", live, "--yes"] },
  { name: "several there", args: () => ["restore", "--offline", copy, "--yes"] },
  { name: "latest of several jobs", args: () => ["restore", "latest", "--offline", copy, "--yes"] },
  { name: "name of another", args: () => ["restore", nameOf("directory"), "--offline", `${copy}/${paths.archive}`, "--yes"] },
  { name: "unknown datastore", args: () => ["restore", nameOf("archive"), "--offline", copy, "--only", "memroy", "--yes"] },
  {
    name: "part missing",
    args: () => ["restore", nameOf("directory"), "--offline", copy, "--yes"],
    break: () => rmSync(join(copy, paths.directory, "memory.db.zst")),
  },
  {
    name: "archive missing",
    args: () => ["restore", nameOf("archive"), "--offline", copy, "--yes"],
    break: () => rmSync(join(copy, paths.archive)),
  },
  {
    name: "bit flipped",
    args: () => ["restore", nameOf("archive"), "--offline", copy, "--yes"],
    break: () => flip(join(copy, paths.archive)),
  },
  {
    name: "truncated",
    args: () => ["restore", nameOf("file"), "--offline", copy, "--yes"],
    break: () => writeFileSync(join(copy, paths.file), readFileSync(join(copy, paths.file)).subarray(0, 5000)),
  },
  {
    name: "manifest damaged",
    args: () => ["restore", "--offline", join(copy, paths.directory), "--yes"],
    break: () => flip(join(copy, paths.directory, "manifest.json")),
  },
  {
    name: "manifest damaged, by name",
    args: () => ["restore", nameOf("directory"), "--offline", copy, "--yes"],
    break: () => flip(join(copy, paths.directory, "manifest.json")),
  },
  {
    name: "all manifests damaged",
    args: () => ["restore", "latest", "--offline", join(copy, "night"), "--yes"],
    break: () => flip(join(copy, `${paths.archive}.manifest.json`)),
  },
  {
    name: "manifest missing beside a database",
    args: () => ["restore", "--offline", join(copy, paths.file), "--yes"],
    break: () => rmSync(join(copy, `${paths.file}.manifest.json`)),
  },
  {
    name: "manifest of another backup",
    args: () => ["restore", "--offline", join(copy, paths.file), "--yes"],
    break: () => copyFileSync(join(copy, `${paths.archive}.manifest.json`), join(copy, `${paths.file}.manifest.json`)),
  },
  { name: "file inside a backup", args: () => ["restore", "--offline", join(copy, paths.directory, "memory.db.zst"), "--yes"] },
  {
    name: "known to be damaged",
    args: () => ["restore", nameOf("file"), "--offline", copy, "--yes"],
    break: () =>
      appendFileSync(
        join(copy, `${paths.file}.events.jsonl`),
        `${JSON.stringify({ at: "2026-01-01T00:00:00.000Z", event: "damaged", reason: "a verification said so" })}\n`,
      ),
  },
  { name: "nobody to ask", args: () => ["restore", nameOf("file"), "--offline", copy] },
  { name: "target directory not empty", args: () => ["restore", nameOf("file"), "--offline", copy, "--to", live] },
];

test("L7 D10 F55 F56 a restore that cannot work says which it is, and nothing has been touched", async () => {
  const told: string[] = [];
  const before = fingerprint(live);
  for (const { name, args, break: damage } of impossible) {
    rmSync(copy, { recursive: true });
    cpSync(join(dir, "pristine"), copy, { recursive: true });
    damage?.();
    const { status, stderr } = await holdfast(args());
    assert.notEqual(status, 0, name);
    assert.deepEqual(fingerprint(live), before, `${name}: something was touched`);
    const words = stderr.split("\n").filter((line) => /^(error|hint):/.test(line));
    assert.equal(words[0]?.startsWith("error:"), true, `${name}: ${stderr}`);
    told.push(
      `${name}: exit ${status}`,
      ...words.map(
        (line) =>
          `  ${line
            .replaceAll(dir, "DIR")
            .replaceAll(/_\d{8}\b/g, "_DAY")
            .replaceAll(/\b[0-9a-hjkmnp-tv-z]{20}\b/g, "ID")}`,
      ),
    );
  }
  assertGolden("offline/impossible.txt", `${told.join("\n")}\n`);
});

test("L7 a doubtful backup is restored after an explicit word", async () => {
  const event = { at: "2026-01-01T00:00:00.000Z", event: "damaged", reason: "a verification said so" };
  appendFileSync(join(copy, `${paths.file}.events.jsonl`), `${JSON.stringify(event)}\n`);
  succeed(await holdfast(["restore", nameOf("file"), "--offline", copy, "--yes", "--accept-doubtful"]));
  assert.deepEqual(readMemory(), [1, 2, 3]);
});

test("D10 --plan tells what a restore would do, and does nothing", async () => {
  const before = fingerprint(live);
  const plan = succeed(await holdfast(["restore", nameOf("archive"), "--offline", copy, "--plan"]));
  assert.match(plan, new RegExp(`memory \\(sqlite\\): .* to ${join(live, "memory.db")}, as the backup says`));
  const json = JSON.parse(succeed(await holdfast(["--json", "restore", nameOf("archive"), "--offline", copy, "--plan"]))) as {
    readonly datastores: readonly { readonly datastore: string; readonly now: { readonly present: boolean } }[];
  };
  assert.deepEqual(
    json.datastores.map(({ datastore, now }) => [datastore, now.present]),
    [
      ["memory", true],
      ["caches", true],
    ],
  );
  assert.deepEqual(fingerprint(live), before);
});

test("G6 F59 with a config its hooks and checks apply: a failing check puts everything back", async () => {
  const log = join(dir, "fresh/hooks.log");
  mkdirSync(join(dir, "fresh"));
  const hook = (word: string): string => `{ command: [sh, -c, "echo ${word} >> ${log}"] }`;
  const config = join(dir, "fresh/holdfast.yaml");
  writeFileSync(
    config,
    writeConfig(`, restore: { stop: [${hook("stop")}], start: [${hook("start")}], check: { command: ["false"], retryFor: 0s } }`),
  );
  const before = fingerprint(live);
  const { status, stderr } = await holdfast(["--config", config, "restore", nameOf("archive"), "--offline", copy, "--yes"]);
  assert.equal(status, 1, stderr);
  assert.match(stderr, /the data is as it was/);
  assert.deepEqual(fingerprint(live), before);
  const words = readFileSync(log, "utf8").trim().split("\n");
  assert.equal(words[0], "stop");
  assert.equal(words.at(-1), "start", "the application was not started again");
});

test("G6 F59 kill -9 after the swap: the next offline restore first puts everything back", async () => {
  mkdirSync(join(dir, "fresh"));
  const config = join(dir, "fresh/holdfast.yaml");
  const once = join(dir, "fresh/once");
  // The first start command of all kills the command line itself.
  writeFileSync(
    config,
    writeConfig(`, restore: { start: [{ command: [sh, -c, "[ -e ${once} ] || { touch ${once}; kill -9 $PPID; }"] }] }`),
  );
  const killed = await holdfast(["--config", config, "restore", nameOf("archive"), "--offline", copy, "--yes"]);
  assert.equal(killed.status, 137, killed.stderr);
  assert.deepEqual(readMemory(), [1, 2, 3], "it was not killed after the swap");
  const { status, stdout, stderr } = await holdfast(["--config", config, "restore", nameOf("archive"), "--offline", copy, "--yes"]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /rolled back after an interruption/);
  assert.deepEqual(readMemory(), [1, 2, 3]);
  succeed(await holdfast(readUndo(stdout)));
  assert.deepEqual(readMemory(), [1, 2, 3, 99], "what was saved is not what was there before the first attempt");
});

test("F60 an outside program that holds the database's lock keeps the offline restore out", async () => {
  const locks = join(dir, "fresh/run/locks");
  mkdirSync(locks, { recursive: true });
  const name = createHash("sha256")
    .update(`path:${join(live, "memory.db")}`)
    .digest("hex");
  const holder = spawn("flock", ["-n", join(locks, name), "sh", "-c", "echo held; cat >/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "close");
  await once(holder.stdout, "data");
  try {
    const before = fingerprint(live);
    const { status, stderr } = await holdfast(["restore", nameOf("file"), "--offline", copy, "--yes"]);
    assert.equal(status, 5, stderr);
    assert.deepEqual(fingerprint(live), before);
  } finally {
    holder.stdin.end();
    await ended;
  }
});

test("D10 beside a running daemon the offline restore says so, takes the locks, and leaves the daemon's journals alone", async () => {
  const env = { HOLDFAST_STATE_DIR: join(dir, "state"), HOLDFAST_RUNTIME_DIR: join(dir, "run") };
  await using _daemon = await installation.start();
  const journals = join(dir, "state/restores");
  mkdirSync(journals, { recursive: true });
  const foreign = join(journals, "1m7yrrtn9fr87erk61yx.restore.jsonl");
  const begin = {
    type: "begin",
    at: "2026-01-01T00:00:00.000Z",
    id: "1m7yrrtn9fr87erk61yx",
    backup: "x",
    job: "night",
    start: [],
    stop: [],
  };
  writeFileSync(foreign, `${JSON.stringify(begin)}\n`);
  const { status, stderr } = await holdfast(["restore", nameOf("file"), "--offline", copy, "--yes"], env);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /the daemon answers/);
  assert.equal(readFileSync(foreign, "utf8").trim().split("\n").length, 1, "the daemon's journal was ended");
  rmSync(foreign);
  rmSync(join(dir, "state"), { recursive: true });
});

test("D10 rebuild --offline makes a lost or damaged state anew, keeps what was there, and the daemon starts on it", async () => {
  const rebuild = (): Promise<CallResult> => installation.holdfast(["--json", "rebuild", "--offline"]);
  const parse = (
    result: CallResult,
  ): { readonly replaced: readonly string[]; readonly destinations: readonly { readonly backups: number }[] } =>
    JSON.parse(succeed(result)) as ReturnType<typeof parse>;
  rmSync(join(dir, "state"), { recursive: true, force: true });
  assert.equal(parse(await rebuild()).destinations[0]?.backups, 3);
  for (const name of ["catalog.db", "queue.db"]) {
    writeFileSync(join(dir, "state", name), "this is no database");
    assert.deepEqual(parse(await rebuild()).replaced, [name]);
  }
  rmSync(join(dir, "state/catalog.db"));
  const rebuilt = parse(await rebuild());
  assert.deepEqual([rebuilt.replaced, rebuilt.destinations[0]?.backups], [["catalog.db"], 3]);
  const kept = readdirSync(join(dir, "state"), { recursive: true, encoding: "utf8" }).filter((name) =>
    /^damaged-.*\/(queue|catalog)\.db$/.test(name),
  );
  assert.deepEqual(
    kept.map((name) => readFileSync(join(dir, "state", name), "utf8")),
    ["this is no database", "this is no database"],
  );
  await using daemon = await installation.start();
  assert.equal((await installation.json<readonly unknown[]>(["list"])).length, 3);
  const refused = await installation.holdfast(["rebuild", "--offline"]);
  assert.equal(refused.status, 5, refused.stderr);
  await daemon.stop();
});

test("D10 the documented way with nothing but tar and cp gives the same data", async () => {
  mkdirSync(join(dir, "elsewhere"));
  const child = spawn("tar", ["-xzf", join(copy, paths.archive), "-C", join(dir, "elsewhere")], { stdio: "inherit" });
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 0);
  const found = readdirSync(join(dir, "elsewhere"), { recursive: true, encoding: "utf8" }).find((name) => name.endsWith("memory.db"));
  assert.ok(found !== undefined);
  renameSync(join(dir, "elsewhere", found), join(live, "memory.db"));
  assert.deepEqual(readMemory(), [1, 2, 3]);
});
