import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Run } from "../../src/catalog/contract.ts";
import type { Status } from "../../src/operations/read-status.ts";
import { createInstallation, runProgram, type Installation, type RunningDaemon } from "../support/daemon.ts";
import { makeSite, readExample } from "../support/example-config.ts";
import { openApplication, type LiveApplication } from "../support/live-application.ts";
import { waitForRuns } from "../support/wait-for-runs.ts";
import { querySqlite, runCommand, runShell } from "../support/run-command.ts";

const resources = new AsyncDisposableStack();
let dir: string;
let data: string;
let backups: string;
let config: string;
let luna: Installation;
let daemon: RunningDaemon;
let application: LiveApplication;

/** The same config under other environment variables, with a state and destination of its own. */
async function install(name: string, env: Readonly<Record<string, string>>): Promise<Installation & { readonly backups: string }> {
  const place = join(dir, name);
  mkdirSync(place);
  const text = config.replace(`path: ${backups}`, `path: ${join(place, "backups")}`);
  const installation = resources.use(await createInstallation({ dir: place, config: text, env, init: ["backups"] }));
  return { ...installation, backups: join(place, "backups") };
}

const listNames = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.startsWith("backup-") && !name.endsWith(".jsonl"))
    .toSorted();

const fingerprint = async (): Promise<string> =>
  (await runShell("find . -type f ! -name '*-shm' ! -name '*-wal' -print0 | sort -z | xargs -0 sha256sum", { cwd: data })).stdout;

before(async () => {
  const site = resources.use(await makeSite());
  dir = site.dir;
  data = join(dir, "srv/data");
  backups = join(dir, "srv/backups");
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, "luna_memory.json"), JSON.stringify({ name: "Luna", mood: "curious" }));
  const log = join(data, "luna_memory_log.jsonl");
  writeFileSync(log, '{"run":"before","text":"the first line"}\n');
  await querySqlite(
    join(data, "luna.db"),
    "create table memories (id integer primary key, text text); insert into memories (text) values ('one'), ('two')",
  );
  application = resources.use(await openApplication(join(dir, "app"), { databases: [join(data, "luna.db")], log }));
  await application.start();
  config = await readExample("luna", { replace: { "/srv/luna": join(dir, "srv") } });
  luna = resources.use(await createInstallation({ dir, config, init: ["backups"] }));
  daemon = await luna.start();
});

after(() => resources.disposeAsync());

test("L1 L3 G1 a backup at once when the daemon starts: a directory named in UTC, its log cut at a whole line while it is appended to", async () => {
  await waitForRuns(daemon, { kind: "backup", job: "luna" });
  const [name = "", ...others] = listNames(backups);
  assert.deepEqual(others, []);
  assert.match(name, /^backup-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d$/);
  const at = Date.parse(name.replace("backup-", "").replace(/T(\d\d)-(\d\d)-/, "T$1:$2:") + "Z");
  assert.ok(Math.abs(Date.now() - at) < 600_000, `${name} is of now, in UTC`);
  const files = readdirSync(join(backups, name));
  for (const file of ["luna.db", "luna_memory.json", "luna_memory_log.jsonl", "backup-metadata.json", "RESTORE.txt"])
    assert.ok(files.includes(file), `${file} in ${files.join(", ")}`);
  assert.ok(!files.includes("personality.json"));
  const metadata = JSON.parse(readFileSync(join(backups, name, "backup-metadata.json"), "utf8")) as Record<string, unknown>;
  assert.deepEqual(metadata["files"], ["luna.db", "luna_memory.json", "luna_memory_log.jsonl"]);
  assert.equal(metadata["backedUpFiles"], 3);
  assert.equal(Math.floor(Date.parse(String(metadata["timestamp"])) / 1000), at / 1000);
  const lines = readFileSync(join(backups, name, "luna_memory_log.jsonl"), "utf8").split("\n");
  assert.equal(lines.pop(), "", "the log ends with a whole line");
  for (const line of lines) JSON.parse(line);
  assert.equal(await querySqlite(join(backups, name, "luna.db"), "pragma integrity_check; select count(*) from memories"), "ok\n2");
});

test("L1 a log whose last line is half written loses that line and nothing else; the personality is there when there is one", async () => {
  await application.stop();
  writeFileSync(join(data, "personality.json"), "{}");
  const log = join(data, "luna_memory_log.jsonl");
  const whole = readFileSync(log, "utf8");
  writeFileSync(log, `${whole}{"run":"half`);
  const outcome = await luna.json<{ details: { name: string } }>(["backup", "luna"]);
  const made = join(backups, outcome.details.name);
  assert.equal(readFileSync(join(made, "luna_memory_log.jsonl"), "utf8"), whole);
  assert.equal(readFileSync(join(made, "personality.json"), "utf8"), "{}");
  writeFileSync(log, whole);
  await application.start();
});

test("L7 a restore that cannot work says which it is, and nothing has been touched", async () => {
  await application.stop();
  const untouched = await fingerprint();
  const [first = "", second = ""] = listNames(backups);

  const unknown = await luna.holdfast(["restore", "backup-2001-01-01T00-00-00", "--yes"]);
  assert.equal(unknown.status, 4);
  assert.match(unknown.stderr, /no backup "backup-2001-01-01T00-00-00"/);

  renameSync(join(backups, first), join(dir, "away"));
  const missing = await luna.holdfast(["restore", first, "--yes"]);
  assert.notEqual(missing.status, 0);
  assert.match(missing.stderr, new RegExp(`${first} is missing`));
  renameSync(join(dir, "away"), join(backups, first));

  const memory = join(backups, second, "luna_memory.json");
  renameSync(memory, join(dir, "away.json"));
  const incomplete = await luna.holdfast(["restore", second, "--yes"]);
  assert.notEqual(incomplete.status, 0);
  assert.match(incomplete.stderr, /luna_memory\.json/);
  assert.match(incomplete.stderr, /missing|incomplete/);
  renameSync(join(dir, "away.json"), memory);
  // Damage that was found is remembered until a verification finds it mended.
  assert.equal((await luna.holdfast(["verify", second])).status, 0);

  const database = join(backups, second, "luna.db");
  const bytes = readFileSync(database);
  writeFileSync(database, bytes.subarray(0, -1));
  const damaged = await luna.holdfast(["restore", second, "--yes"]);
  assert.equal(damaged.status, 6);
  assert.match(damaged.stderr, /luna\.db/);
  writeFileSync(database, bytes);
  assert.equal((await luna.holdfast(["verify", second])).status, 0);
  assert.equal(await fingerprint(), untouched);

  renameSync(backups, `${backups}-away`);
  const gone = await luna.holdfast(["restore", first, "--yes"]);
  assert.notEqual(gone.status, 0);
  assert.ok(gone.stderr.includes(backups), gone.stderr);
  renameSync(`${backups}-away`, backups);
  assert.equal(await fingerprint(), untouched);
  await application.start();
});

test("G2 one at a time on one datastore whatever the trigger, others side by side, and what waits says why", async () => {
  const place = join(dir, "g2");
  mkdirSync(place);
  const [own, other] = [join(place, "own.db"), join(place, "other.db")];
  for (const path of [own, other]) await querySqlite(path, "create table t (x); insert into t values (1)");
  await runCommand(["mkfifo", join(place, "gate")]);
  await using installation = await createInstallation({
    dir: place,
    init: ["local"],
    config: `
destinations:
  local: { kind: local, path: ${place}/backups }
datastores:
  own: { kind: sqlite, path: ${own} }
  alias: { kind: files, include: ["${place}/own.db"] }
  other: { kind: sqlite, path: ${other} }
jobs:
  own:
    datastores: [own]
    destination: local
    restore:
      stop: [[cat, ${place}/gate]]
  alias: { datastores: [alias], destination: local }
  other: { datastores: [other], destination: local }
`,
  });
  const working = await installation.start();
  await installation.json(["backup", "own"]);
  const restore = (await installation.json<{ task: string }>(["restore", "latest", "--job", "own", "--yes", "--detach"])).task;
  await working.waitForLog(/restore of job \\?"own\\?" started/);
  const asked = [];
  for (const job of ["own", "alias"]) asked.push((await installation.json<{ task: string }>(["backup", job, "--detach"])).task);
  const post = ["curl", "-sS", "--unix-socket", installation.socketPath, "-H", "content-type: application/json", "-d", '{"job":"own"}'];
  const { stdout } = await runCommand([...post, "http://localhost/v1/backups/latest/verify"]);
  asked.push((JSON.parse(stdout) as { task: string }).task);
  assert.equal((await installation.holdfast(["backup", "other"])).status, 0, "another datastore goes on side by side");
  const { tasks } = await installation.json<Status>(["status"]);
  assert.equal(tasks.find(({ id }) => id === restore)?.state, "running");
  for (const id of asked) {
    const task = tasks.find((candidate) => candidate.id === id);
    assert.equal(task?.state, "waiting");
    assert.match(task.waitingBecause ?? "", /restore/);
  }
  writeFileSync(join(place, "gate"), "go\n");
  await waitForRuns(working, { kind: "backup|verify|restore", job: "own|alias", count: 5 });
  const runs = (await installation.json<readonly Run[]>(["runs"])).filter(({ job }) => job !== "other");
  const spans = runs.map(({ startedAtMs, finishedAtMs = Infinity }) => ({ startedAtMs, finishedAtMs }));
  assert.equal(spans.length, 5);
  for (const [index, one] of spans.entries())
    for (const later of spans.slice(0, index)) assert.ok(one.finishedAtMs <= later.startedAtMs, "no two runs overlap");
});

test("L3 a crash loop does not rotate good backups away", async () => {
  const looping = await install("loop", { MAX_BACKUPS: "2" });
  for (let start = 0; start < 2; start += 1) {
    await using first = await looping.start();
    if (start === 0) await waitForRuns(first, { kind: "backup", job: "luna" });
    else assert.equal((await looping.holdfast(["backup", "luna"])).status, 0);
  }
  const good = listNames(looping.backups);
  assert.equal(good.length, 2);
  for (let start = 0; start < 5; start += 1) {
    const crashing = await looping.start();
    assert.match(crashing.log(), /at start: skip, the newest verified backup is \S+ old, younger than/);
    await crashing.kill();
  }
  const last = await looping.start();
  assert.deepEqual((await looping.json<Status>(["status"])).tasks, []);
  await last.stop();
  assert.deepEqual(listNames(looping.backups), good);
});

test("L2 L3 L6 G3 interval and count come from the environment: a backup every interval, and after each run the newest are kept", async () => {
  const busy = await install("busy", { BACKUP_INTERVAL: "1500", MAX_BACKUPS: "2" });
  await using running = await busy.start();
  await waitForRuns(running, { kind: "backup", job: "luna", count: 5 });
  await waitForRuns(running, { kind: "remove", job: "luna", count: 3 });
  const status = await busy.json<Status>(["status"]);
  assert.match(status.jobs[0]?.next[0]?.schedule ?? "", /every 1s 500ms/);
  await running.stop();
  const runs = [...running.log().matchAll(/backup of job \\?"luna\\?" ended ok: (\S+),/g)].map((match) => match[1] ?? "");
  // A removal may have been still to come when the daemon was stopped.
  const left = listNames(busy.backups);
  assert.ok(left.length >= 2 && left.length < runs.length - 1, left.join(", "));
  assert.deepEqual(left, runs.slice(-left.length));
});

test("L2 AUTO_BACKUP_ENABLED=false: nothing runs by itself", async () => {
  const off = await install("off", { AUTO_BACKUP_ENABLED: "false", BACKUP_INTERVAL: "1000" });
  await using running = await off.start();
  const [job] = (await off.json<Status>(["status"])).jobs;
  assert.equal(job?.enabled, false);
  assert.deepEqual(job.next, []);
  assert.equal((await off.json<readonly Run[]>(["runs"])).length, 0);
  assert.doesNotMatch(running.log(), /started/);
});

test("L2 a variable that is no number is refused with its name", async () => {
  const wrong = await luna.holdfast(["check"], { env: { MAX_BACKUPS: "many" } });
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /MAX_BACKUPS/);
});

test("W13 a backup directory that was copied elsewhere restores there, without marker, catalog, config or daemon", async () => {
  const [, name = ""] = listNames(backups);
  await using elsewhere = await makeSite();
  const copy = join(elsewhere.dir, name);
  await runCommand(["cp", "-r", join(backups, name), copy]);
  const to = join(elsewhere.dir, "restored");
  const result = await runProgram(["restore", "--offline", copy, "--to", to, "--yes"], {
    env: { HOLDFAST_STATE_DIR: join(elsewhere.dir, "state"), HOLDFAST_RUNTIME_DIR: join(elsewhere.dir, "run") },
  });
  assert.equal(result.status, 0, result.stderr);
  const found = (await runCommand(["find", to, "-type", "f"])).stdout.trim().split("\n");
  const restored = found.find((path) => path.endsWith("luna.db")) ?? assert.fail(found.join("\n"));
  assert.equal(await querySqlite(restored, "pragma integrity_check; select count(*) from memories"), "ok\n2");
  for (const file of ["luna_memory.json", "luna_memory_log.jsonl", "personality.json"]) {
    const path = found.find((candidate) => candidate.endsWith(`/${file}`)) ?? assert.fail(file);
    assert.deepEqual(readFileSync(path), readFileSync(join(backups, name, file)));
  }
});

test("L7 G6 a restore brings back what was there, absence included, and the application's newer lines are gone", async () => {
  const [first = ""] = listNames(backups);
  await application.stop();
  const result = await luna.holdfast(["restore", first, "--yes"]);
  assert.equal(result.status, 0, result.stderr);
  assert.equal(existsSync(join(data, "personality.json")), false);
  assert.deepEqual(readFileSync(join(data, "luna_memory_log.jsonl")), readFileSync(join(backups, first, "luna_memory_log.jsonl")));
  const dump = (path: string): Promise<string> => querySqlite(path, ".dump");
  assert.equal(await dump(join(data, "luna.db")), await dump(join(backups, first, "luna.db")));
  rmSync(join(data, "luna.db-wal"), { force: true });
});
