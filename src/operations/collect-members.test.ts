import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBackupBed, type BackupBed } from "../../test/support/backup-bed.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import type { Hook } from "../config/config.ts";
import type { BackupSetup, DatastoreSetup, HoldSetup, Progress } from "./setup.ts";

let hooks: string | undefined;
before(() => {
  hooks = process.env["HOLDFAST_HOOKS"];
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = hooks;
});

const hook = (script: string): Hook => ({ command: ["/bin/sh", "-c", script], timeoutMs: 20_000 });

/** Writes down what is done, in its order. */
function makeHold(bed: BackupBed, name: string, more: Partial<HoldSetup> = {}): HoldSetup {
  const say = (word: string): Hook => hook(`echo '${word} ${name}' >> '${join(bed.dir, "log")}'`);
  return { engage: [say("hold")], release: [say("release")], limitMs: 20_000, ...more };
}

const readLog = (bed: BackupBed): readonly string[] =>
  existsSync(join(bed.dir, "log")) ? readFileSync(join(bed.dir, "log"), "utf8").trim().split("\n") : [];

function makeTree(bed: BackupBed, name: string, facts: Partial<DatastoreSetup> = {}): DatastoreSetup {
  const path = join(bed.dir, name);
  mkdirSync(path);
  writeFileSync(join(path, "data"), `${name} before`);
  return { name, kind: "files", options: { root: path }, shrink: "off", ...facts };
}

/** What a backup holds of a tree: the tar is stored as it is. */
function readStored(bed: BackupBed, name: string): string {
  const path = readdirSync(bed.vault, { recursive: true, encoding: "utf8" }).find((each) => each.endsWith(`${name}.tar`)) ?? "";
  return readFileSync(join(bed.vault, path), "latin1");
}

/** Runs it, and writes down its phases between the hooks. */
async function runAndLog(bed: BackupBed, setup: BackupSetup, act: (progress: Progress) => void = () => undefined) {
  const log = (progress: Progress): void => {
    const { phase, datastore = "" } = progress;
    if (/snapshot|reading back/.test(phase)) appendFileSync(join(bed.dir, "log"), `${phase} ${datastore}\n`);
    act(progress);
  };
  return await bed.run(setup, log);
}

test("W2 a datastore stands still while its state is fixed and no longer; what is written when it goes on is not in the backup", async () => {
  await using bed = await openBackupBed();
  const held = makeTree(bed, "held", { copying: "stopped" });
  const start = hook(`echo later > '${join(bed.dir, "held/data")}'; echo 'release held' >> '${join(bed.dir, "log")}'`);
  const hold = makeHold(bed, "held", { release: [start] });
  const setup = bed.describe([makeTree(bed, "first"), { ...held, hold }], { infoFiles: ["backup_info.txt"] });
  const backup = await runAndLog(bed, setup);
  assert.deepEqual(readLog(bed), ["reading back first", "hold held", "taking a snapshot held", "release held", "reading back held"]);
  const [first, second] = backup.manifest.members;
  assert.equal(first?.snapshot, undefined);
  assert.equal(second?.snapshot?.copying, "stopped");
  assert.ok((second.snapshot.heldMs ?? -1) >= 0 && Number.isInteger(second.snapshot.heldMs));
  assert.equal(backup.manifest.group, undefined);
  assert.match(readStored(bed, "held"), /held before/);
  assert.equal(readFileSync(join(bed.dir, "held/data"), "utf8"), "later\n");
  const info = readdirSync(bed.vault, { recursive: true, encoding: "utf8" }).find((path) => path.endsWith("backup_info.txt")) ?? "";
  assert.match(readFileSync(join(bed.vault, info), "utf8"), /^ {2}stopped for \d+m?s to be copied$/m);
  await bed.verify(backup);
});

test("a group is frozen once for all snapshots, in the job's order, each datastore with its own hold; dumps come after the thaw", async () => {
  await using bed = await openBackupBed();
  const spoil = hook(`for i in one two; do echo later > '${bed.dir}/'$i/data; done; echo 'release group' >> '${join(bed.dir, "log")}'`);
  const group = makeHold(bed, "group", { release: [spoil] });
  const datastores = [makeTree(bed, "one"), makeTree(bed, "two", { copying: "paused", hold: makeHold(bed, "two") })];
  const { manifest } = await runAndLog(bed, bed.describe(datastores, { group }));
  assert.deepEqual(readLog(bed), [
    "hold group",
    "taking a snapshot one",
    "hold two",
    "taking a snapshot two",
    "release two",
    "release group",
    "reading back one",
    "reading back two",
  ]);
  for (const name of ["one", "two"]) assert.match(readStored(bed, name), new RegExp(`${name} before`));
  const [one, two] = manifest.members;
  assert.deepEqual([one?.snapshot?.copying, one?.snapshot?.heldMs, two?.snapshot?.copying], ["live", undefined, "paused"]);
  const { group: made } = manifest;
  assert.ok(made !== undefined && made.firstAt <= (one?.snapshot?.at ?? "") && (two?.snapshot?.at ?? "") <= made.lastAt);
  assert.ok(made.frozenMs >= Date.parse(made.lastAt) - Date.parse(made.firstAt));
});

test("a group thaws when a snapshot fails, and fails as a whole; one that may be missing is left out of a partial backup", async () => {
  await using bed = await openBackupBed();
  const group = makeHold(bed, "group", {
    engage: [hook(`rm -r '${join(bed.dir, "gone")}'; echo 'hold group' >> '${join(bed.dir, "log")}'`)],
  });
  const [good, gone] = [makeTree(bed, "good"), makeTree(bed, "gone")];
  await assert.rejects(bed.run(bed.describe([good, gone], { group })), { code: "source-missing" });
  assert.deepEqual(readLog(bed), ["hold group", "release group"]);
  assert.deepEqual(bed.listVault(), []);
  mkdirSync(join(bed.dir, "gone"));
  writeFileSync(join(bed.dir, "gone/data"), "");
  const { manifest } = await bed.run(bed.describe([good, { ...gone, onMissing: "skip" }], { group }));
  assert.equal(manifest.status, "partial");
  assert.deepEqual(
    manifest.members.map(({ datastore, status, notes }) => [datastore, status, notes[0]?.code]),
    [
      ["good", "ok", undefined],
      ["gone", "failed", "left-out"],
    ],
  );
});

test("a freeze that fails is thawed; a thaw that fails fails the backup; neither leaves one", async () => {
  await using bed = await openBackupBed();
  const datastore = makeTree(bed, "one");
  const say = makeHold(bed, "group");
  const freezing = { ...say, engage: [...say.engage, hook("exit 3")] };
  await assert.rejects(bed.run(bed.describe([datastore], { group: freezing })), { code: "hook-failed", message: /exited with 3/ });
  assert.deepEqual(readLog(bed), ["hold group", "release group"]);
  const may = join(bed.dir, "may-thaw");
  const release = [hook(`test -e '${may}' || exit 4`), ...say.release];
  await assert.rejects(bed.run(bed.describe([datastore], { group: { ...say, release } })), {
    code: "hook-failed",
    message: /exited with 4/,
  });
  assert.deepEqual(bed.listVault(), []);
  // Its guard tries on by itself.
  writeFileSync(may, "");
  await waitUntil("nothing stands still any more", () => readdirSync(join(bed.dir, "holds")).every((name) => !name.endsWith(".json")));
});

test("a limit that is over fails the backup with words, of a group and of a service; what stood still goes on", async () => {
  await using bed = await openBackupBed();
  const datastore = makeTree(bed, "one", { copying: "stopped" });
  const slow = { ...makeHold(bed, "slow"), limitMs: 1 };
  const isOver = { message: /longer than|hold/, code: /^(timeout|hold-exceeded)$/ };
  for (const setup of [bed.describe([datastore], { group: slow }), bed.describe([{ ...datastore, hold: slow }])]) {
    await assert.rejects(bed.run(setup), (error: unknown) => {
      const { message, code } = error as { readonly message: string; readonly code: string };
      assert.match(message, isOver.message);
      assert.match(code, isOver.code);
      return true;
    });
    assert.deepEqual(readLog(bed), ["hold slow", "release slow"]);
    rmSync(join(bed.dir, "log"));
  }
  assert.deepEqual(bed.listVault(), []);
});

test("a backup that is cancelled while a group is frozen thaws it", async () => {
  await using bed = await openBackupBed();
  const abort = new AbortController();
  const setup = bed.describe([makeTree(bed, "one"), makeTree(bed, "two")], { group: makeHold(bed, "group") });
  const stop = ({ phase, datastore }: Progress): void => {
    if (phase === "taking a snapshot" && datastore === "two") abort.abort();
  };
  await assert.rejects(bed.run(setup, stop, abort.signal), { code: "cancelled" });
  assert.deepEqual(readLog(bed), ["hold group", "release group"]);
  assert.deepEqual(bed.listVault(), []);
});

test("a clock that jumps back while a group is frozen: the window between the snapshots is as long as it was", async () => {
  await using bed = await openBackupBed();
  const setup = bed.describe([makeTree(bed, "one"), makeTree(bed, "two")], { group: makeHold(bed, "group") });
  const { now } = Date;
  let backMs = 0;
  Date.now = () => now() - backMs;
  try {
    const backup = await runAndLog(bed, setup, ({ phase, datastore }) => {
      if (phase === "taking a snapshot" && datastore === "two") backMs = 3_600_000;
    });
    const { firstAt, lastAt } = backup.manifest.group ?? assert.fail();
    assert.ok(firstAt <= lastAt, `${firstAt} ${lastAt}`);
  } finally {
    Date.now = now;
  }
});
