import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { CatalogBackup, Run } from "../../src/catalog/contract.ts";
import type { Status } from "../../src/operations/read-status.ts";
import { makeChatDatabase } from "../support/chat-database.ts";
import { backdateBackup } from "../support/clone-backup.ts";
import { createInstallation, runProgram, type Installation, type RunningDaemon } from "../support/daemon.ts";
import { makeSite, readExample, substitute } from "../support/example-config.ts";
import { createFakeTime } from "../support/fake-time.ts";
import { findFreePort } from "../support/free-port.ts";
import { openApplication, type LiveApplication } from "../support/live-application.ts";
import { querySqlite, runCommand, runShell } from "../support/run-command.ts";
import { waitForRuns } from "../support/wait-for-runs.ts";

const resources = new AsyncDisposableStack();
let dir: string;
let home: string;
let backups: string;
let config: string;
let memory: string;
let voice: string;
let server: Installation;
let daemon: RunningDaemon;
/** They stand in for chatgpt-duck.service, with the HTTP address, and duck-control.service. */
let duck: LiveApplication;
let control: LiveApplication;

const holdfast = new URL("../../scripts/holdfast", import.meta.url).pathname;
const listArchives = (): readonly string[] =>
  readdirSync(backups)
    .filter((name) => /^duck_backup_.*\.tar\.gz$/.test(name))
    .toSorted();
const countMarkers = (path: string): Promise<string> => querySqlite(path, "select count(*) from facts where subject = 'marker'");
const addMarker = (): Promise<string> => querySqlite(memory, "insert into facts (subject, fact) values ('marker', 'was here')");

interface Outcome {
  readonly state: string;
  readonly details: { readonly name: string; readonly preRestore: string | null };
}

async function backUp(...args: readonly string[]): Promise<string> {
  return (await server.json<Outcome>(["backup", "duck", ...args])).details.name;
}

/** A file of an archive, unpacked by tar into a directory of its own. */
async function unpack(archive: string, place: string): Promise<string> {
  mkdirSync(join(dir, place), { recursive: true });
  await runCommand(["tar", "-xzf", join(backups, archive), "-C", join(dir, place)]);
  return join(dir, place, archive.replace(/\.tar\.gz$/, ""));
}

before(async () => {
  const site = resources.use(await makeSite());
  dir = site.dir;
  home = join(dir, "srv/duck");
  backups = join(dir, "backups");
  memory = join(home, "duck_memory.db");
  voice = join(home, "chatgpt_voice.db");
  mkdirSync(home, { recursive: true });
  makeChatDatabase(memory, { messages: 12_000 });
  makeChatDatabase(voice, { messages: 500, seed: 7 });
  for (const [number, name] of ["user", "bread"].entries())
    writeFileSync(
      join(home, `${name}-embedding.bin`),
      Float32Array.from({ length: 384 }, (_, index) => Math.sin(index * (number + 1))),
    );
  const port = await findFreePort("localhost");
  duck = resources.use(await openApplication(join(dir, "app/duck"), { databases: [memory], port }));
  control = resources.use(await openApplication(join(dir, "app/control"), { databases: [voice] }));
  await Promise.all([duck.start(), control.start()]);
  config = await readExample("duck", {
    replace: {
      "/srv/duck": home,
      "/var/backups/duck": backups,
      "/media/usb/duck": join(dir, "usb/duck"),
      "localhost:3000": `localhost:${port}`,
    },
    units: { "chatgpt-duck.service": duck.dir, "duck-control.service": control.dir },
  });
  server = resources.use(await createInstallation({ dir, config, init: ["backups"], env: { HOLDFAST_TIMEZONE: "UTC" } }));
  daemon = await server.start();
});

after(() => resources.disposeAsync());

test("D1 D2 D3 one tar.gz with both live databases, the embeddings and the info; what is not there yet is no error", async () => {
  const name = await backUp();
  assert.match(name, /^duck_backup_\d{8}_\d{6}\.tar\.gz$/);
  const stem = name.replace(/\.tar\.gz$/, "");
  const { stdout: listed } = await runCommand(["tar", "-tzf", join(backups, name)]);
  const files = listed.trim().split("\n");
  for (const file of ["duck_memory.db", "chatgpt_voice.db", "user-embedding.bin", "bread-embedding.bin", "backup_info.txt", "RESTORE.txt"])
    assert.ok(files.includes(`${stem}/${file}`), listed);
  assert.ok(!listed.includes("session-state"));

  const info = (await runCommand(["tar", "-xzOf", join(backups, name), "--wildcards", "*/backup_info.txt"])).stdout;
  assert.match(info, new RegExp(`^Backup: +${stem}`, "m"));
  assert.match(info, /^Date: +\d{4}-\d\d-\d\dT/m);
  for (const [table, rows] of [
    ["messages", 12_000],
    ["memories", 1_200],
    ["facts", 480],
  ] as const)
    assert.match(info, new RegExp(`^ +${table}: ${rows} rows$`, "m"));
  for (const file of ["duck_memory.db", "chatgpt_voice.db", "user-embedding.bin", "bread-embedding.bin"])
    assert.ok(info.includes(file), info);
  assert.equal((await server.holdfast(["show", name, "--info"])).stdout, info, "the CLI prints it too");

  const unpacked = await unpack(name, "d1");
  for (const file of ["duck_memory.db", "chatgpt_voice.db"])
    assert.equal(await querySqlite(join(unpacked, file), "pragma integrity_check; select count(*) > 0 from journal"), "ok\n1");
  assert.deepEqual(readFileSync(join(unpacked, "user-embedding.bin")), readFileSync(join(home, "user-embedding.bin")));

  writeFileSync(join(home, "session-state-1.json"), '{"open":true}');
  const second = await unpack(await backUp(), "d1");
  assert.equal(readFileSync(join(second, "session-state-1.json"), "utf8"), '{"open":true}');
});

test("D4 the list: newest first, with sizes and ages", async () => {
  const { stdout } = await server.holdfast(["list"]);
  const shown = listArchives().toReversed();
  assert.equal(shown.length, 2);
  assert.ok(stdout.indexOf(shown[0] ?? "") < stdout.indexOf(shown[1] ?? ""), stdout);
  const list = await server.json<readonly CatalogBackup[]>(["list"]);
  assert.deepEqual(
    list.map(({ name, storedBytes }) => [name, storedBytes]),
    shown.map((name) => [name, statSync(join(backups, name)).size]),
  );
  assert.ok(list.every(({ createdAtMs }) => Math.abs(Date.now() - createdAtMs) < 600_000));
});

test("D13 compression saves 60 to 80 percent of such a database", async () => {
  const [newest] = await server.json<readonly CatalogBackup[]>(["list", "--limit", "1"]);
  const saved = 1 - (newest?.storedBytes ?? 0) / (newest?.plainBytes ?? 1);
  assert.ok(saved >= 0.6 && saved <= 0.8, `${(saved * 100).toFixed(1)} % saved`);
});

test("D7 before a migration, from a shell script: it waits, shows progress, and its failure ends the script", async () => {
  const script = `${holdfast} --config ${server.configPath} backup duck --note 'before migration 42'\ntouch ${dir}/migrated`;
  const good = await runShell(script, { env: server.env });
  assert.match(good.stderr, /^(starting|probing|reading back|publishing|\w+ .*)$/m, "progress");
  assert.ok(existsSync(join(dir, "migrated")));
  const [newest] = await server.json<readonly CatalogBackup[]>(["list", "--limit", "1"]);
  assert.equal(newest?.note, "before migration 42");
  assert.match((await server.holdfast(["show", "latest", "--info"])).stdout, /before migration 42/);

  rmSync(join(dir, "migrated"));
  const before = readdirSync(backups).toSorted();
  renameSync(join(home, "user-embedding.bin"), join(home, "user"));
  renameSync(join(home, "bread-embedding.bin"), join(home, "bread"));
  const bad = await runShell(script, { env: server.env, accept: [1, 2, 3, 4, 5, 6, 7] });
  assert.match(bad.stderr, /embedding\.bin/);
  assert.equal(existsSync(join(dir, "migrated")), false, "the migration does not run");
  assert.deepEqual(readdirSync(backups).toSorted(), before, "and nothing looks like a backup");
  renameSync(join(home, "user"), join(home, "user-embedding.bin"));
  renameSync(join(home, "bread"), join(home, "bread-embedding.bin"));
});

test("D5 D6 D11 D12 G6 restore by bare name around two live services, undo in one command, and no acknowledged write is lost", async () => {
  const name = await backUp();
  await addMarker();
  const [stats, pid] = [await duck.stats(), await control.pid()];
  const result = await server.holdfast(["restore", name, "--yes"]);
  assert.equal(result.status, 0, result.stderr);

  const restored = await duck.stats();
  assert.notEqual(restored.pid, stats.pid, "it was stopped and started");
  assert.notEqual(await control.pid(), pid);
  assert.equal(await countMarkers(memory), "0", "D12: the marker is gone");
  const [, preRestore = ""] = /(pre_restore_\d{8}_\d{6}\.tar\.gz)/.exec(result.stdout) ?? assert.fail(result.stdout);
  const saved = join(await unpack(preRestore, "d5"), "duck_memory.db");
  assert.equal(await countMarkers(saved), "1", "what was there is saved");

  const acknowledged = await duck.acknowledged();
  const written = acknowledged.filter(({ run }) => run === stats.run).length;
  assert.equal(
    await querySqlite(saved, `select count(*) from journal where run = '${stats.run}'`),
    String(written),
    "the last write is in it",
  );
  const kept = (await duck.acknowledged()).filter(({ run }) => run === restored.run);
  const rows = Number(await querySqlite(memory, `select count(*) from journal where run = '${restored.run}'`));
  assert.ok(kept.length > 0 && rows >= kept.length, "new writes go on in the restored database");

  const undone = await server.holdfast(["undo", "--yes"]);
  assert.equal(undone.status, 0, undone.stderr);
  assert.equal(await countMarkers(memory), "1", "D6");
  assert.notEqual((await duck.stats()).pid, restored.pid);
});

test("D5 restore by path, and without starting the services again", async () => {
  const [, , name = ""] = listArchives();
  const result = await server.holdfast(["restore", join(backups, name), "--yes", "--no-start"]);
  assert.equal(result.status, 0, result.stderr);
  assert.deepEqual([await duck.pid(), await control.pid()], [undefined, undefined]);
  const unpacked = await unpack(name, "d5");
  for (const file of ["duck_memory.db", "chatgpt_voice.db"])
    assert.equal(await querySqlite(join(home, file), ".dump"), await querySqlite(join(unpacked, file), ".dump"));
  await Promise.all([duck.start(), control.start()]);
});

test("D11 G6 the health address does not answer: the restore says that it failed, and the data is as it was, services up", async () => {
  const name = listArchives().at(-1) ?? "";
  await server.writeConfig(substitute(config, "retryFor: 1m", "retryFor: 1s"));
  await server.json(["reload"]);
  await addMarker();
  const markers = await countMarkers(memory);
  const stats = await duck.stats();
  writeFileSync(join(duck.dir, "unhealthy"), "");
  const result = await server.holdfast(["restore", name, "--yes"]);
  rmSync(join(duck.dir, "unhealthy"));
  assert.notEqual(result.status, 0);
  assert.match(result.stderr, /as it was/);
  assert.match(result.stderr, /503/);
  assert.equal(await countMarkers(memory), markers);
  const again = await duck.stats();
  assert.notEqual(again.pid, stats.pid);
  const written = (await duck.acknowledged()).filter(({ run }) => run === stats.run).length;
  assert.equal(await querySqlite(memory, `select count(*) from journal where run = '${stats.run}'`), String(written), "no write is lost");
  await server.writeConfig(config);
  await server.json(["reload"]);
});

test("D14 an important backup is copied to another disk on demand, and stands there on its own", async () => {
  const name = listArchives().at(-1) ?? "";
  const absent = await server.holdfast(["copy", name, "usb"]);
  assert.notEqual(absent.status, 0, "the disk is not there yet");
  assert.equal((await server.holdfast(["destination", "init", "usb"])).status, 0);
  const copied = await server.holdfast(["copy", name, "usb"]);
  assert.equal(copied.status, 0, copied.stderr);
  assert.deepEqual(readFileSync(join(dir, "usb/duck", name)), readFileSync(join(backups, name)));
  assert.equal((await server.holdfast(["verify", name, "--destination", "usb"])).status, 0);
  const verified = await runProgram(["verify", "--offline", join(dir, "usb/duck", name)], { env: server.env });
  assert.equal(verified.status, 0, verified.stderr);
});

test("D9 nothing is removed without retention; with 30 days the plan is shown first, and a pinned backup never goes", async () => {
  const [first = "", second = "", ...others] = listArchives();
  assert.ok(others.length > 0);
  await daemon.stop();
  const oldMs = Date.now() - 31 * 86_400_000;
  await backdateBackup(join(backups, first), { createdAtMs: oldMs - 1000, sequence: 1 });
  await backdateBackup(join(backups, second), { createdAtMs: oldMs, sequence: 2 });
  daemon = await server.start();
  assert.equal((await server.holdfast(["pin", first, "--reason", "the first one"])).status, 0);
  const last = await backUp();
  assert.deepEqual(listArchives(), [first, second, ...others, last].toSorted(), "a job without retention keeps everything");
  const nothing = await server.holdfast(["prune", "duck", "--plan"]);
  assert.match(nothing.stdout, /no retention/);

  await server.writeConfig(substitute(config, "# retention: { keepWithin: 30d }", "retention: { keepWithin: 30d }"));
  await server.json(["reload"]);
  const plan = await server.holdfast(["prune", "duck", "--plan"]);
  assert.equal(plan.status, 0, plan.stderr);
  assert.match(plan.stdout, new RegExp(`remove.*${second}|${second}.*remove`));
  assert.match(plan.stdout, new RegExp(`${first}.*pinned|pinned.*${first}`));
  assert.equal(listArchives().length, others.length + 3, "a plan removes nothing");
  const unconfirmed = await server.holdfast(["prune", "duck"]);
  assert.notEqual(unconfirmed.status, 0);
  assert.equal(listArchives().length, others.length + 3, "nor does one that nobody confirmed");
  const pruned = await server.holdfast(["prune", "duck", "--yes"]);
  assert.equal(pruned.status, 0, pruned.stderr);
  assert.deepEqual(listArchives(), [first, ...others, last].toSorted());
  assert.deepEqual(
    readdirSync(backups).filter((name) => name.startsWith(second)),
    [],
  );
});

test("D8 G1 daily at 03:00 by the daemon's own clock, and a slot that was missed while the machine was off is made up for once", async () => {
  await daemon.stop();
  const place = join(dir, "d8");
  mkdirSync(place);
  const text = substitute(config, `path: ${backups}`, `path: ${join(place, "backups")}`);
  const slotMs = Math.floor(Date.now() / 86_400_000 + 2) * 86_400_000 + 3 * 3_600_000;
  const time = createFakeTime(place, slotMs - 200_000);
  const env = { HOLDFAST_TIMEZONE: "UTC", ...time.env };
  await using installation = await createInstallation({ dir: place, config: text, init: ["backups"], env });
  const nightly = await installation.start();
  time.moveTo(slotMs - 1000);
  await waitForRuns(nightly, { kind: "backup", job: "duck" });
  const [run, ...others] = await installation.json<readonly Run[]>(["runs"]);
  assert.deepEqual(others, []);
  assert.match(run?.trigger ?? "", /schedule/);
  assert.ok(Math.abs((run?.startedAtMs ?? 0) - slotMs) < 60_000, "at 03:00");
  await nightly.stop();
  time.moveTo(slotMs + 3 * 86_400_000 + 3_600_000);
  const later = await installation.start();
  await waitForRuns(later, { kind: "backup", job: "duck" });
  const runs = await installation.json<readonly Run[]>(["runs"]);
  assert.deepEqual(
    runs.map(({ state, missedCount }) => `${state} ${missedCount ?? ""}`).toSorted(),
    ["missed 2", "ok ", "ok "],
    "one run for three slots, and the others are on record",
  );
  assert.match(runs.find(({ state }) => state === "ok")?.trigger ?? "", /catch-up/);
  daemon = await server.start();
});

test("D10 the daemon is dead and its state is lost: one command restores from the backup directory alone", async () => {
  const name = await backUp();
  await addMarker();
  await daemon.kill();
  rmSync(join(dir, "state"), { recursive: true });
  rmSync(join(dir, "run"), { recursive: true });
  const stats = await duck.stats();
  const result = await server.holdfast(["restore", "--offline", join(backups, name), "--yes"]);
  assert.equal(result.status, 0, result.stderr);
  const before = await unpack(name, "d10");
  assert.equal(await countMarkers(memory), await countMarkers(join(before, "duck_memory.db")));
  assert.equal(
    await querySqlite(memory, `select count(*) from journal where run = '${stats.run}' and id > (select count(*) from journal)`),
    "0",
  );
  for (const application of [duck, control]) await application.stop();
});

test("D10 and with nothing but tar and cp, by the words of RESTORE.txt", async () => {
  const name = listArchives().at(-1) ?? "";
  const place = join(dir, "by-hand");
  mkdirSync(place);
  cpSync(join(backups, name), join(place, name));
  const text = (await runCommand(["tar", "-xzOf", join(place, name), "--wildcards", "*/RESTORE.txt"])).stdout;
  const commands = text.split("\n").flatMap((line) => /^ {2}(\S.*)$/.exec(line)?.[1] ?? []);
  rmSync(home, { recursive: true });
  mkdirSync(home);
  await runShell(commands.filter((line) => /^(tar|cd|rm|cp|chown) /.test(line)).join("\n"), { cwd: place });
  const unpacked = await unpack(name, "d10");
  for (const file of ["duck_memory.db", "chatgpt_voice.db", "user-embedding.bin", "bread-embedding.bin", "session-state-1.json"])
    assert.deepEqual(readFileSync(join(home, file)), readFileSync(join(unpacked, file)), file);
  await Promise.all([duck.start(), control.start()]);
  assert.equal((await duck.stats()).rows["duck_memory.db"]?.["messages"], 12_000);
});

test("G1 the state that was lost is read anew from the backups when the daemon starts", async () => {
  daemon = await server.start();
  const list = await server.json<readonly CatalogBackup[]>(["list"]);
  assert.deepEqual(
    list
      .filter(({ destination }) => destination === "backups")
      .map(({ name }) => name)
      .toSorted(),
    listArchives(),
  );
  const [job] = (await server.json<Status>(["status"])).jobs;
  assert.equal(job?.newestGood?.name, listArchives().at(-1));
});
