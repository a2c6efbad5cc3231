import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import Database from "better-sqlite3";
import type { Finding } from "../../src/operations/check/finding.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";

let dir: string;
let installation: Installation;
let mounts: string[];

interface Parts {
  readonly destinations?: string;
  readonly datastores?: string;
  readonly job?: string;
  readonly rest?: string;
}

function writeConfig({ destinations = "", datastores = "", job = "", rest = "" }: Parts = {}): string {
  return `
destinations:
  local: { kind: local, path: ${dir}/backups }
${destinations}
datastores:
  memory: { kind: sqlite, path: ${dir}/srv/memory.db }
${datastores}
jobs:
  night: { datastores: [memory], destination: local, layout: archive, name: "night_{YYYYMMDD}_{HHmmss}", compression: gzip${job} }
${rest}
`;
}

/** All that the check found, after its exit status. */
async function check(parts?: Parts, status = 0): Promise<readonly Finding[]> {
  if (parts !== undefined) await installation.writeConfig(writeConfig(parts));
  return (await installation.json<{ readonly findings: readonly Finding[] }>(["check"], status)).findings;
}

function find(findings: readonly Finding[], level: Finding["level"], what: string, detail: RegExp): Finding {
  const found = findings.find((finding) => finding.level === level && finding.what === what && detail.test(finding.detail));
  assert.ok(found !== undefined, `no ${level} of ${what} like ${String(detail)} in ${JSON.stringify(findings, undefined, 1)}`);
  return found;
}

function mountTmpfs(path: string, options: string): void {
  mkdirSync(path, { recursive: true });
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  mounts.push(path);
}

function remount(path: string, options: string): void {
  assert.equal(spawnSync("mount", ["-o", `remount,${options}`, path]).status, 0);
}

beforeEach(async () => {
  mounts = [];
  dir = mkdtempSync(join(tmpdir(), "chk-"));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, "srv"));
  const database = new Database(join(dir, "srv/memory.db"));
  database.exec("create table memory (id integer primary key)");
  database.close();
  installation = await createInstallation({ dir, config: writeConfig() });
  chmodSync(installation.configPath, 0o644);
});

afterEach(async () => {
  await installation[Symbol.asyncDispose]();
  for (const path of mounts.toReversed()) spawnSync("umount", ["-l", path]);
  rmSync(dir, { recursive: true, force: true });
});

const initialize = (name = "local"): ReturnType<Installation["holdfast"]> => installation.holdfast(["destination", "init", name]);

test("A18 P10 a destination that is missing, unmarked, full or read-only is named with what mends it; after that check is content", async () => {
  const backups = join(dir, "backups");
  const missing = find(await check(undefined, 1), "fail", "destination local", /backups/);
  assert.match(missing.hint ?? "", /holdfast destination init local/);
  mountTmpfs(backups, "size=64m,mode=0750");
  find(await check(undefined, 1), "fail", "destination local", /has no marker.*holdfast destination init local/s);
  assert.equal((await initialize()).status, 0);
  find(await check(), "ok", "destination local", /can be written to/);
  remount(backups, "ro");
  find(await check(undefined, 1), "fail", "destination local", /Cannot write to .*read-only/is);
  remount(backups, "rw,size=1m");
  find(await check(undefined, 1), "fail", "space for night in local", /free/);
  remount(backups, "rw,size=64m");
  find(await check(), "ok", "destination local", /can be written to/);
});

test("A18 the text has one line for each check, and the exit status says whether one failed", async () => {
  const bad = await installation.holdfast(["check"]);
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /^FAIL {2}destination local: .* \(.*holdfast destination init local\)$/m);
  await initialize();
  const good = await installation.holdfast(["check", "--verbose"]);
  assert.equal(good.status, 0, good.stdout);
  assert.match(good.stdout, /^ok {4}source memory: SQLite database/m);
  assert.match(good.stdout, new RegExp(`^ReadWritePaths="-${dir}`, "m"));
  for (const line of good.stdout.slice(0, good.stdout.indexOf("\n\n")).split("\n")) assert.match(line, /^(ok {4}|warn {2}|FAIL {2})\S.*: /);
});

test("a config that protects nothing is told as such, and is no failure", async () => {
  await initialize();
  for (const jobs of ["", "jobs: {}\n"]) {
    await installation.writeConfig(`settings: {}\ndestinations: { local: { kind: local, path: ${dir}/backups } }\n${jobs}`);
    assert.match(find(await check(), "warn", "jobs", /no job: nothing is backed up/).hint ?? "", /`jobs`/);
  }
  find(await check({ job: ", enabled: false" }), "warn", "jobs", /no job is enabled/);
  assert.ok(!(await check({})).some(({ what }) => what === "jobs"));
});

test("a datastore of no job, to which backups are only restored, may be absent; one of a job may not", async () => {
  await initialize();
  const staging = `  staging: { kind: sqlite, path: ${dir}/srv/staging.db }
  rescue: { kind: files, root: ${dir}/srv/rescue }`;
  const findings = await check({ datastores: staging });
  find(findings, "warn", "source staging", /staging\.db/);
  find(findings, "warn", "source rescue", /rescue/);
  find(findings, "warn", "source rescue", /no job backs it up/);
  const rest = `  day: { datastores: [staging], destination: local }`;
  find(await check({ datastores: staging, rest }, 1), "fail", "source staging", /staging\.db/);
});

test("A19 warns when data and backups share a disk, when no copy leaves the machine, and not when another disk has one", async () => {
  await initialize();
  const alone = await check();
  find(alone, "warn", "job night", /on the same disk/);
  find(alone, "warn", "job night", /no copy leaves this machine/);
  mountTmpfs(join(dir, "disk"), "size=64m,mode=0750");
  const parts = { destinations: `  other: { kind: local, path: ${dir}/disk }`, job: ", copies: [other]" };
  await installation.writeConfig(writeConfig(parts));
  await initialize("other");
  const two = await check(parts);
  assert.equal(
    two.some(({ level, detail }) => level === "warn" && detail.includes("same disk")),
    false,
  );
  find(two, "ok", "job night", /local shares a disk/);
});

test("A19 P7 warns when everybody may read a backup place, and of modes wider than declared", async () => {
  await initialize();
  chmodSync(join(dir, "backups"), 0o755);
  const findings = await check();
  find(findings, "warn", "destination local", /everybody on this machine may read/);
  find(findings, "warn", "destination local", /Modes wider than declared/);
  chmodSync(join(dir, "backups"), 0o750);
  assert.equal(
    (await check()).some(({ detail }) => /everybody|wider/.test(detail)),
    false,
  );
});

test("F20 sources: missing, empty, no database, out of the owner's reach; an optional one may be absent", async () => {
  await initialize();
  mkdirSync(join(dir, "closed"), { mode: 0o700 });
  new Database(join(dir, "closed/own.db")).exec("create table a (b)").close();
  writeFileSync(join(dir, "empty.db"), "");
  writeFileSync(join(dir, "text.db"), "this is certainly not a database file, whatever its name says");
  const findings = await check(
    {
      datastores: `
  gone: { kind: sqlite, path: ${dir}/gone.db }
  empty: { kind: sqlite, path: ${dir}/empty.db }
  text: { kind: sqlite, path: ${dir}/text.db }
  closed: { kind: sqlite, path: ${dir}/closed/own.db, runAs: nobody }
  stranger: { kind: sqlite, path: ${dir}/srv/memory.db, runAs: nobody-here }
  files: { kind: files, include: ["${dir}/none/*.bin"] }
  maybe: { kind: files, include: ["${dir}/none/*.bin"], optional: true }`,
      job: "",
      rest: `
  all: { datastores: [gone, empty, text, closed, files, maybe], destination: local, folder: all, name: "all_{YYYYMMDD}_{HHmmss}" }`,
    },
    1,
  );
  for (const name of ["gone", "empty", "text", "closed", "stranger", "files"]) find(findings, "fail", `source ${name}`, /./);
  find(findings, "ok", "source maybe", /optional/);
  find(findings, "warn", "source stranger", /no job backs it up/);
  find(findings, "fail", "account nobody-here", /no such user/);
});

test("F21 a destination that lies inside a source by a link is found", async () => {
  mkdirSync(join(dir, "srv/tree/inner"), { recursive: true });
  symlinkSync(join(dir, "srv/tree/inner"), join(dir, "backups"));
  const datastores = `  tree: { kind: files, root: ${dir}/srv/tree }`;
  const job = `  trees: { datastores: [tree], destination: local, folder: trees, name: "t_{YYYYMMDD}_{HHmmss}" }`;
  find(await check({ datastores, rest: job }, 1), "fail", "job trees", /lies inside the datastore tree/);
  const excluded = `  tree: { kind: files, root: ${dir}/srv/tree, exclude: [inner] }`;
  const findings = await check({ datastores: excluded, rest: job }, 1);
  assert.equal(
    findings.some(({ detail }) => detail.includes("lies inside")),
    false,
  );
});

test("hooks, channels and files: what cannot be run, and what others may change or read", async () => {
  await initialize();
  writeFileSync(join(dir, "plain.sh"), "#!/bin/sh\n", { mode: 0o644 });
  writeFileSync(join(dir, "open.sh"), "#!/bin/sh\n");
  chmodSync(join(dir, "open.sh"), 0o777);
  writeFileSync(join(dir, "url"), "http://hooks.example.com/x");
  chmodSync(join(dir, "url"), 0o644);
  chmodSync(installation.configPath, 0o666);
  const findings = await check(
    {
      job: `, notify: [ops], restore: { stop: [{ command: [no-such-program] }], start: [{ command: [${dir}/plain.sh] }, { command: [${dir}/open.sh] }], check: { command: [${dir}/gone.sh] } }`,
      rest: `notify:\n  ops: { kind: webhook, url: { file: ${dir}/url } }`,
    },
    1,
  );
  find(findings, "fail", "stop command of night", /no-such-program is not found/);
  find(findings, "fail", "start command of night", /plain\.sh is not executable/);
  find(findings, "fail", "start command of night", /everybody may change .*open\.sh/);
  find(findings, "fail", "check command of night", /gone\.sh is not there/);
  find(findings, "fail", `config file ${installation.configPath}`, /others may change it/);
  find(findings, "warn", `secret file ${join(dir, "url")}`, /everybody may read it/);
  find(findings, "fail", "notify channel ops", /example/);
  assert.equal(JSON.stringify(findings).includes("example.com/x"), false, "a secret was told");
});

test("A14 D5 hooks of restores: questions are asked now, units looked up, and a stop without a start is told", async () => {
  await initialize();
  const sql = (statement: string, more: string): string => `{ sql: "${statement}", datastore: memory, ${more} }`;
  const checks = [
    sql("SELECT count(*) FROM sqlite_schema", "atLeast: 1"),
    sql("SELECT count(*) FROM sqlite_schema", "equals: 7000"),
    sql("SELECT 1 FROM nowhere", "equals: 1"),
  ];
  const findings = await check({ job: `, restore: { stop: { unit: holdfast-nothing.service }, check: [${checks.join(", ")}] }` }, 1);
  find(findings, "warn", "restore of night", /the application stays stopped after a restore, and its checks are not made/);
  find(findings, "ok", "check of night", /SELECT count.* \(of memory: 1 or more\) gives "\d+"/);
  find(findings, "warn", "check of night", /gives "\d+" now, not 7000/);
  find(findings, "fail", "check of night", /cannot be asked: Cannot query "memory": no such table: nowhere/);
});

test("a config with errors: all of them at once, exit status 2, nothing probed", async () => {
  await installation.writeConfig(`${writeConfig()}\nnonsense: 1\nextra:\n  more: 2\n`);
  const { status, stderr, stdout } = await installation.holdfast(["check"]);
  assert.equal(status, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /nonsense/);
  assert.match(stderr, /extra/);
});

test("a check disturbs nothing: a database that is in use keeps its files, owners and locks", async () => {
  await initialize();
  const path = join(dir, "srv/memory.db");
  const application = new Database(path);
  try {
    application.pragma("journal_mode = WAL");
    application.exec("insert into memory values (1)");
    const before = readdirSync(join(dir, "srv")).map((name) => [name, statSync(join(dir, "srv", name)).uid]);
    application.exec("begin immediate; insert into memory values (2)");
    find(await check(), "ok", "source memory", /WAL/);
    application.exec("commit");
    assert.deepEqual(
      readdirSync(join(dir, "srv")).map((name) => [name, statSync(join(dir, "srv", name)).uid]),
      before,
    );
  } finally {
    application.close();
  }
  assert.equal(
    readdirSync(join(dir, "backups")).some((name) => name.includes("probe")),
    false,
  );
  assert.deepEqual(readdirSync(join(dir, "state/staging")), []);
});

test("doctor: no daemon is a failure; with one all is well; a damaged state and an open restore are told", async () => {
  await initialize();
  const diagnose = async (status: number): Promise<readonly Finding[]> =>
    (await installation.json<{ readonly findings: readonly Finding[] }>(["doctor"], status)).findings;
  find(await diagnose(1), "fail", "daemon", /No daemon answers/);
  {
    await using daemon = await installation.start();
    const findings = await diagnose(0);
    find(findings, "ok", "daemon", /answers, version/);
    find(findings, "ok", "SQLite", /bundled/);
    find(findings, "ok", `admin socket ${installation.socketPath}`, /mode 06/);
    find(findings, "ok", `state file ${dir}/state/catalog.db`, /whole/);
    find(findings, "ok", "source memory", /SQLite/);
    await daemon.stop();
  }
  writeFileSync(join(dir, "state/catalog.db"), "no database");
  mkdirSync(join(dir, "state/restores-offline"), { recursive: true });
  writeFileSync(join(dir, "state/restores-offline/abc.restore.jsonl"), '{"type":"begin"}\n{"type":"stopping"}\n\n\n');
  mkdirSync(join(dir, "state/staging/left"), { recursive: true });
  assert.equal(spawnSync("touch", ["-d", "3 days ago", join(dir, "state/staging/left")]).status, 0);
  const findings = await diagnose(1);
  find(findings, "fail", `state file ${dir}/state/catalog.db`, /./);
  find(findings, "warn", "restore abc", /has not ended/);
  find(findings, "warn", `staging directory ${dir}/state/staging`, /left/);
});
