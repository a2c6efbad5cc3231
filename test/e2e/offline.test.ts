import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { CallResult } from "../support/daemon.ts";
import { assertGolden } from "../support/golden.ts";
import { fingerprint, OfflinePlace, readUndo, succeed } from "../support/offline-place.ts";
import { flip, tryImpossible } from "../support/impossible-restores.ts";

const layouts = ["archive", "directory", "file"] as const;

let place: OfflinePlace;
before(async () => {
  place = await OfflinePlace.open();
});
beforeEach(() => place.reset());
after(() => place[Symbol.asyncDispose]());

for (const layout of layouts) {
  test(`D10 W13 a copied backup of layout ${layout} restores with no daemon, state, marker or config, and can be undone`, async () => {
    const before = fingerprint(place.live);
    const output = succeed(await place.holdfast(["restore", "--offline", join(place.copy, place.paths[layout]), "--yes"]));
    assert.deepEqual(place.readMemory(), [1, 2, 3]);
    if (layout === "archive")
      assert.deepEqual(readdirSync(place.live).toSorted(), ["a-embedding.bin", "b-embedding.bin", "memory.db", "notes"]);
    if (layout === "directory") assert.equal(readFileSync(join(place.live, "notes/deep/one.txt"), "utf8"), "old note");
    succeed(await place.holdfast(readUndo(output)));
    assert.deepEqual(place.readMemory(), [1, 2, 3, 99]);
    // A database is copied page by page into a file of its own; everything else is as it was to the byte.
    const others = (lines: readonly string[]): readonly string[] => lines.filter((line) => !line.startsWith("memory.db"));
    assert.deepEqual(others(fingerprint(place.live)), others(before));
  });
}

test("D10 everything is gone: the data is restored where there is nothing, and undo takes it away again", async () => {
  rmSync(place.live, { recursive: true });
  mkdirSync(place.live);
  writeFileSync(join(place.live, "b-embedding.bin"), "only this");
  const output = succeed(await place.holdfast(["restore", "--offline", join(place.copy, "night"), "--yes"]));
  assert.deepEqual(readdirSync(place.live).toSorted(), ["a-embedding.bin", "b-embedding.bin", "memory.db"]);
  succeed(await place.holdfast(readUndo(output)));
  assert.deepEqual(readdirSync(place.live), ["b-embedding.bin"]);
  assert.equal(readFileSync(join(place.live, "b-embedding.bin"), "utf8"), "only this");
});

test("D10 an archive that was copied alone, and renamed, restores by the manifest inside", async () => {
  mkdirSync(join(place.dir, "elsewhere"));
  copyFileSync(join(place.copy, place.paths.archive), join(place.dir, "elsewhere/rescued.tar.gz"));
  assert.match(
    succeed(await place.holdfast(["verify", "--offline", join(place.dir, "elsewhere/rescued.tar.gz")])),
    /^ok {2}rescued\.tar\.gz is whole/,
  );
  succeed(await place.holdfast(["restore", "rescued.tar.gz", "--offline", join(place.dir, "elsewhere"), "--yes"]));
  assert.deepEqual(place.readMemory(), [1, 2, 3]);
});

test("W13 a backup's directory that was copied under another name restores", async () => {
  cpSync(join(place.copy, place.paths.directory), join(place.dir, "elsewhere"), { recursive: true });
  succeed(await place.holdfast(["verify", "--offline", join(place.dir, "elsewhere")]));
  succeed(await place.holdfast(["restore", "--offline", join(place.dir, "elsewhere", "manifest.json"), "--yes"]));
  assert.deepEqual(place.readMemory(), [1, 2, 3]);
});

test("W13 list, show and verify read a copied destination as a whole", async () => {
  const list = succeed(await place.holdfast(["list", "--offline", place.copy]));
  assert.deepEqual(
    list
      .trim()
      .split("\n")
      .map((line) => line.split("\t")[0] ?? "")
      .toSorted(),
    [place.nameOf("archive"), place.nameOf("file"), place.nameOf("directory")],
  );
  assert.equal(
    succeed(await place.holdfast(["list", "night", "--offline", place.copy]))
      .trim()
      .split("\n").length,
    1,
  );
  const shown = JSON.parse(succeed(await place.holdfast(["--json", "show", place.nameOf("archive"), "--offline", place.copy]))) as {
    readonly manifest: { readonly host: string };
  };
  assert.equal(shown.manifest.host, "oldhost");
  assert.match(succeed(await place.holdfast(["show", place.nameOf("directory"), "--offline", place.copy, "--restore-text"])), /zstd/);
  assert.equal(
    succeed(await place.holdfast(["verify", "--all", "--offline", place.copy]))
      .trim()
      .split("\n").length,
    3,
  );
  const before = fingerprint(place.copy);
  assert.deepEqual(fingerprint(join(place.dir, "pristine")), before, "reading changed the copy");
});

test("L7 a job that is not there, and a directory of nothing but pre-restore backups, are told as such", async () => {
  for (const args of [
    ["list", "nihgt"],
    ["verify", "--all", "--job", "nihgt"],
    ["restore", "latest", "--job", "nihgt", "--plan"],
  ]) {
    const { status, stderr } = await place.holdfast([...args, "--offline", place.copy]);
    assert.equal(status, 4, stderr);
    assert.match(stderr, /There is no backup of job "nihgt" below .*\nhint: Did you mean "night"\? There are backups of /);
  }
  const saved = join(place.dir, "saved");
  for (let count = 0; count < 2; count += 1)
    succeed(await place.holdfast(["restore", place.nameOf("file"), "--offline", place.copy, "--save-to", saved, "--yes"]));
  const { status, stdout, stderr } = await place.holdfast(["list", "--offline", saved]);
  assert.deepEqual([status, stdout], [0, ""]);
  assert.match(stderr, /What is here was made before restores \(2\): --pre-restore lists it/);
  assert.equal(
    succeed(await place.holdfast(["list", "--offline", saved, "--pre-restore"]))
      .trim()
      .split("\n").length,
    2,
  );
  const missing = await place.holdfast(["destination", "config", "/nosuch-place"]);
  assert.equal(missing.status, 4);
  assert.match(missing.stderr, /There is no \/nosuch-place\nhint: .*Is the disk mounted, and the path right\?/);
});

test("W13 --to restores below a directory and leaves the original places alone", async () => {
  const before = fingerprint(place.live);
  const target = join(place.dir, "elsewhere");
  succeed(await place.holdfast(["restore", place.nameOf("archive"), "--offline", place.copy, "--to", target]));
  assert.deepEqual(place.readMemory(join(target, "memory/memory.db")), [1, 2, 3]);
  assert.deepEqual(readdirSync(target).toSorted(), ["caches", "memory"]);
  assert.deepEqual(readdirSync(join(target, "caches")).toSorted(), ["a-embedding.bin", "b-embedding.bin"]);
  assert.deepEqual(fingerprint(place.live), before);
  assert.ok(!existsSync(join(place.dir, "fresh/state/restores")));
});

test("G6 F61 a damaged backup leaves an empty --to directory empty, and a missing one missing", async () => {
  flip(join(place.copy, place.paths.archive));
  mkdirSync(join(place.dir, "elsewhere"));
  for (const target of [join(place.dir, "elsewhere"), join(place.dir, "elsewhere/new")]) {
    assert.equal((await place.holdfast(["restore", place.nameOf("archive"), "--offline", place.copy, "--to", target])).status, 6);
    assert.deepEqual(readdirSync(join(place.dir, "elsewhere")), []);
  }
});

test("L7 D10 F55 F56 a restore that cannot work says which it is, and nothing has been touched", async () => {
  assertGolden("offline/impossible.txt", await tryImpossible(place));
});

test("L7 a doubtful backup is restored after an explicit word", async () => {
  const event = { at: "2026-01-01T00:00:00.000Z", event: "damaged", reason: "a verification said so" };
  appendFileSync(join(place.copy, `${place.paths.file}.events.jsonl`), `${JSON.stringify(event)}\n`);
  succeed(await place.holdfast(["restore", place.nameOf("file"), "--offline", place.copy, "--yes", "--accept-doubtful"]));
  assert.deepEqual(place.readMemory(), [1, 2, 3]);
});

test("D10 --plan tells what a restore would do, and does nothing", async () => {
  const before = fingerprint(place.live);
  const plan = succeed(await place.holdfast(["restore", place.nameOf("archive"), "--offline", place.copy, "--plan"]));
  assert.match(plan, new RegExp(`memory \\(sqlite\\): .* to ${join(place.live, "memory.db")}, as the backup says`));
  const json = JSON.parse(
    succeed(await place.holdfast(["--json", "restore", place.nameOf("archive"), "--offline", place.copy, "--plan"])),
  ) as {
    readonly datastores: readonly { readonly datastore: string; readonly now: { readonly present: boolean } }[];
  };
  assert.deepEqual(
    json.datastores.map(({ datastore, now }) => [datastore, now.present]),
    [
      ["memory", true],
      ["caches", true],
    ],
  );
  assert.deepEqual(fingerprint(place.live), before);
});

test("G6 F59 with a config its hooks and checks apply: a failing check puts everything back", async () => {
  const log = join(place.dir, "fresh/hooks.log");
  mkdirSync(join(place.dir, "fresh"));
  const hook = (word: string): string => `{ command: [sh, -c, "echo ${word} >> ${log}"] }`;
  const config = join(place.dir, "fresh/holdfast.yaml");
  writeFileSync(
    config,
    place.writeConfig(`, restore: { stop: [${hook("stop")}], start: [${hook("start")}], check: { command: ["false"], retryFor: 0s } }`),
  );
  const before = fingerprint(place.live);
  const { status, stderr } = await place.holdfast([
    "--config",
    config,
    "restore",
    place.nameOf("archive"),
    "--offline",
    place.copy,
    "--yes",
  ]);
  assert.equal(status, 1, stderr);
  assert.match(stderr, /the data is as it was/);
  assert.deepEqual(fingerprint(place.live), before);
  const words = readFileSync(log, "utf8").trim().split("\n");
  assert.equal(words[0], "stop");
  assert.equal(words.at(-1), "start", "the application was not started again");
});

test("G6 F59 kill -9 after the swap: the next offline restore first puts everything back", async () => {
  mkdirSync(join(place.dir, "fresh"));
  const config = join(place.dir, "fresh/holdfast.yaml");
  const once = join(place.dir, "fresh/once");
  // The first start command of all kills the command line itself.
  writeFileSync(
    config,
    place.writeConfig(`, restore: { start: [{ command: [sh, -c, "[ -e ${once} ] || { touch ${once}; kill -9 $PPID; }"] }] }`),
  );
  const killed = await place.holdfast(["--config", config, "restore", place.nameOf("archive"), "--offline", place.copy, "--yes"]);
  assert.equal(killed.status, 137, killed.stderr);
  assert.deepEqual(place.readMemory(), [1, 2, 3], "it was not killed after the swap");
  const { status, stdout, stderr } = await place.holdfast([
    "--config",
    config,
    "restore",
    place.nameOf("archive"),
    "--offline",
    place.copy,
    "--yes",
  ]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /rolled back after an interruption/);
  assert.deepEqual(place.readMemory(), [1, 2, 3]);
  succeed(await place.holdfast(readUndo(stdout)));
  assert.deepEqual(place.readMemory(), [1, 2, 3, 99], "what was saved is not what was there before the first attempt");
});

test("F60 an outside program that holds the database's lock keeps the offline restore out", async () => {
  const locks = join(place.dir, "fresh/run/locks");
  mkdirSync(locks, { recursive: true });
  const name = createHash("sha256")
    .update(`path:${join(place.live, "memory.db")}`)
    .digest("hex");
  const holder = spawn("flock", ["-n", join(locks, name), "sh", "-c", "echo held; cat >/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "close");
  await once(holder.stdout, "data");
  try {
    const before = fingerprint(place.live);
    const { status, stderr } = await place.holdfast(["restore", place.nameOf("file"), "--offline", place.copy, "--yes"]);
    assert.equal(status, 5, stderr);
    assert.deepEqual(fingerprint(place.live), before);
  } finally {
    holder.stdin.end();
    await ended;
  }
});

test("D10 beside a running daemon the offline restore says so, takes the locks, and leaves the daemon's journals alone", async () => {
  const env = { HOLDFAST_STATE_DIR: join(place.dir, "state"), HOLDFAST_RUNTIME_DIR: join(place.dir, "run") };
  await using _daemon = await place.installation.start();
  const journals = join(place.dir, "state/restores");
  mkdirSync(journals, { recursive: true });
  const foreign = join(journals, "1m7yrrtn9fr87erk61yx.restore.jsonl");
  const begin = {
    type: "begin",
    at: "2026-01-01T00:00:00.000Z",
    id: "1m7yrrtn9fr87erk61yx",
    backup: "x",
    job: "night",
    datastores: ["another"],
    start: [],
    stop: [],
  };
  writeFileSync(foreign, `${JSON.stringify(begin)}\n`);
  const { status, stderr } = await place.holdfast(["restore", place.nameOf("file"), "--offline", place.copy, "--yes"], env);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /the daemon answers/);
  assert.equal(readFileSync(foreign, "utf8").trim().split("\n").length, 1, "the daemon's journal was ended");
  rmSync(foreign);
  rmSync(join(place.dir, "state"), { recursive: true });
});

test("D10 rebuild --offline makes a lost or damaged state anew, keeps what was there, and the daemon starts on it", async () => {
  const rebuild = (): Promise<CallResult> => place.installation.holdfast(["--json", "rebuild", "--offline"]);
  const parse = (
    result: CallResult,
  ): { readonly replaced: readonly string[]; readonly destinations: readonly { readonly backups: number }[] } =>
    JSON.parse(succeed(result)) as ReturnType<typeof parse>;
  rmSync(join(place.dir, "state"), { recursive: true, force: true });
  assert.equal(parse(await rebuild()).destinations[0]?.backups, 3);
  for (const name of ["catalog.db", "queue.db"]) {
    writeFileSync(join(place.dir, "state", name), "this is no database");
    assert.deepEqual(parse(await rebuild()).replaced, [name]);
  }
  rmSync(join(place.dir, "state/catalog.db"));
  const rebuilt = parse(await rebuild());
  assert.deepEqual([rebuilt.replaced, rebuilt.destinations[0]?.backups], [["catalog.db"], 3]);
  const kept = readdirSync(join(place.dir, "state"), { recursive: true, encoding: "utf8" }).filter((name) =>
    /^damaged-.*\/(queue|catalog)\.db$/.test(name),
  );
  assert.deepEqual(
    kept.map((name) => readFileSync(join(place.dir, "state", name), "utf8")),
    ["this is no database", "this is no database"],
  );
  await using daemon = await place.installation.start();
  assert.equal((await place.installation.json<readonly unknown[]>(["list"])).length, 3);
  const refused = await place.installation.holdfast(["rebuild", "--offline"]);
  assert.equal(refused.status, 5, refused.stderr);
  await daemon.stop();
});

test("D10 the documented way with nothing but tar and cp gives the same data", async () => {
  mkdirSync(join(place.dir, "elsewhere"));
  const child = spawn("tar", ["-xzf", join(place.copy, place.paths.archive), "-C", join(place.dir, "elsewhere")], { stdio: "inherit" });
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 0);
  const found = readdirSync(join(place.dir, "elsewhere"), { recursive: true, encoding: "utf8" }).find((name) => name.endsWith("memory.db"));
  assert.ok(found !== undefined);
  renameSync(join(place.dir, "elsewhere", found), join(place.live, "memory.db"));
  assert.deepEqual(place.readMemory(), [1, 2, 3]);
});
