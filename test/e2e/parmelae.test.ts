import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { CatalogBackup, Run } from "../../src/catalog/contract.ts";
import type { Finding } from "../../src/operations/check/finding.ts";
import type { Status } from "../../src/operations/read-status.ts";
import { account, asBot, makeBot, type Bot } from "../support/bot.ts";
import { createInstallation, type Installation, type RunningDaemon } from "../support/daemon.ts";
import { makeSite, substitute } from "../support/example-config.ts";
import { querySqlite, runCommand, runShell } from "../support/run-command.ts";
import { runOnTerminal } from "../support/terminal-session.ts";

const resources = new AsyncDisposableStack();
const holdfast = new URL("../../scripts/holdfast", import.meta.url).pathname;
let dir: string;
let bot: Bot;
let server: Installation;
let daemon: RunningDaemon;

interface AuditEntry {
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: string;
  readonly details: { readonly summary?: string };
}

const listDatabases = (): readonly string[] =>
  readdirSync(bot.backups)
    .filter((name) => /^sqlite-backup-.*\.db$/.test(name))
    .toSorted();
const pm2 = (action: string) => runCommand(asBot(["pm2", action, "bot"]), { env: { ...process.env, ...bot.env } });

async function curl(socket: string, path: string, ...args: readonly string[]): Promise<unknown> {
  return JSON.parse((await runCommand(["curl", "-sS", "--unix-socket", socket, ...args, `http://localhost${path}`])).stdout);
}

async function backUp(): Promise<string> {
  return (await server.json<{ details: { name: string } }>(["backup", "bot"])).details.name;
}

before(async () => {
  const site = resources.use(await makeSite());
  dir = site.dir;
  bot = await makeBot(dir);
  await pm2("start");
  resources.defer(async () => void (await pm2("stop")));
  server = resources.use(await createInstallation({ dir, config: bot.config, init: ["backups"], env: bot.env }));
  daemon = await server.start();
});

after(() => resources.disposeAsync());

test("A19 the check warns: one disk for source and backups, and no copy leaves the machine", async () => {
  const { findings } = await server.json<{ findings: readonly Finding[] }>(["check"]);
  const warnings = findings.filter(({ level }) => level === "warn").map(({ detail }) => detail);
  assert.ok(warnings.some((text) => text.includes("same disk")));
  assert.ok(warnings.some((text) => text.includes("no copy leaves this machine")));
  assert.ok(!warnings.some((text) => text.includes("everybody")));
});

test("P1 P7 a hot backup while the bot writes: a plain database named by time, of the service's user, that sqlite3 opens", async () => {
  const name = await backUp();
  assert.match(name, /^sqlite-backup-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.db$/);
  const path = join(bot.backups, name);
  const sql =
    "pragma integrity_check; select count(*) from messages; select count(*) > 0 and count(*) = max(id) from journal; pragma journal_mode";
  assert.match(await querySqlite(`file:${path}?immutable=1`, sql), /^ok\n2000\n1\n/);
  assert.equal(statSync(bot.backups).mode & 0o7777, 0o750);
  for (const file of [bot.backups, ...readdirSync(bot.backups).map((each) => join(bot.backups, each))]) {
    const { uid, gid, mode } = statSync(file);
    assert.deepEqual([uid, gid], [account.uid, account.gid], file);
    if (statSync(file).isFile()) assert.equal(mode & 0o7777, 0o640, file);
  }
  assert.equal(statSync(`${bot.database}-wal`).uid, account.uid, "and the bot's own files stay its own");
});

test("P7 A19 wider modes that are found are reported", async () => {
  const [name = ""] = listDatabases();
  chmodSync(join(bot.backups, name), 0o666);
  chmodSync(bot.backups, 0o755);
  const { stdout } = await server.holdfast(["check"]);
  chmodSync(join(bot.backups, name), 0o640);
  chmodSync(bot.backups, 0o750);
  assert.match(stdout, new RegExp(`${name} 0666`));
  assert.match(stdout, /everybody on this machine may read/);
});

test("P2 P4 P8 before a deploy: one blocking command; a backup that fails fails the deploy and leaves nothing behind", async () => {
  const deploy = `${holdfast} --config ${server.configPath} backup bot\ntouch ${dir}/deployed`;
  await runShell(deploy, { env: server.env });
  assert.ok(readdirSync(dir).includes("deployed"));
  rmSync(join(dir, "deployed"));
  const before = readdirSync(bot.backups).toSorted();

  await pm2("stop");
  const good = readFileSync(bot.database);
  writeFileSync(bot.database, Buffer.alloc(good.length, "no database "));
  const failed = await runShell(deploy, { env: server.env, accept: [1] });
  assert.match(failed.stderr, /"database": .*not a plain SQLite database/);
  assert.ok(!readdirSync(dir).includes("deployed"));
  assert.deepEqual(readdirSync(bot.backups).toSorted(), before);
  assert.equal((await server.holdfast(["status", "--check"])).status, 2);

  // What can still be read of a damaged one is kept, and is no success (F30).
  const damaged = Buffer.from(good);
  damaged.fill("garbage ", 8_192, 8_192 + 65_536);
  writeFileSync(bot.database, damaged);
  const partial = await runShell(deploy, { env: server.env, accept: [3] });
  writeFileSync(bot.database, good);
  await pm2("start");
  assert.match(partial.stdout, /^partial: .*damaged at its source/);
  assert.ok(!readdirSync(dir).includes("deployed"));
  const flagged = listDatabases().at(-1) ?? "";
  assert.equal((await server.holdfast(["delete", flagged, "--yes"])).status, 0);
});

test("P3 G3 P8 the 5 newest are kept, the rest are removed after each run", async () => {
  const made = [...listDatabases()];
  while (made.length < 7) made.push(await backUp());
  await daemon.waitForLog(/(?:remove of job \\?"bot\\?" ended ok: 1 [^]*?){3}/);
  assert.deepEqual(listDatabases(), made.slice(-5));
  assert.deepEqual(
    readdirSync(bot.backups).filter((name) => made.slice(0, 2).some((gone) => name.startsWith(gone))),
    [],
  );
});

test("P6 verify without restoring: one, all of them, and the damaged one is named", async () => {
  const [oldest = ""] = listDatabases();
  const fingerprint = await querySqlite(bot.database, "select count(*) from messages");
  assert.equal((await server.holdfast(["verify", oldest])).status, 0);
  assert.equal((await server.holdfast(["verify", "--all", "--job", "bot"])).status, 0);
  const bytes = readFileSync(join(bot.backups, oldest));
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(5_000) ^ 1, 5_000);
  writeFileSync(join(bot.backups, oldest), flipped);
  const all = await server.holdfast(["verify", "--all", "--job", "bot"]);
  assert.equal(all.status, 6);
  assert.equal(all.stdout.split("\n").filter((line) => line.includes("failed")).length, 1);
  assert.match(all.stdout, new RegExp(`failed.*${oldest}`));
  assert.ok((await server.json<Status>(["status"])).problems.some((problem) => problem.includes(oldest)));
  const refused = await server.holdfast(["restore", oldest, "--yes"]);
  assert.notEqual(refused.status, 0, "a damaged one is not restored");
  writeFileSync(join(bot.backups, oldest), bytes);
  assert.equal((await server.holdfast(["verify", oldest])).status, 0);
  assert.equal(await querySqlite(bot.database, "select count(*) from messages"), fingerprint);
});

test("P5 P9 restore on a terminal: pick from a list, confirm, see it verified; the bot is stopped and started through pm2", async () => {
  const chosen = listDatabases().at(-2) ?? "";
  await querySqlite(bot.database, "insert into facts (subject, fact) values ('marker', 'was here')");
  const pid = (await pm2("pid")).stdout;
  const calls = readFileSync(bot.pm2Log, "utf8").length;
  const line = `${holdfast} --config ${server.configPath} restore`;
  const no = await runOnTerminal(
    line,
    [
      { when: /Which backup\?/, type: "\r" },
      { when: /Type database to confirm/, type: "\r" },
    ],
    server.env,
  );
  assert.equal(no.status, 7, no.shown);
  assert.equal(readFileSync(bot.pm2Log, "utf8").length, calls, "nothing was touched");

  const { status, shown } = await runOnTerminal(
    line,
    [
      { when: /Which backup\?/, type: "\u001b[B\r" },
      { when: /Type database to confirm/, type: "database\r" },
    ],
    server.env,
  );
  assert.equal(status, 0, shown);
  assert.ok(shown.includes(`restored from ${chosen} and verified`), shown);
  assert.match(shown, /saved as pre_restore_\d{8}_\d{6}\.db/);
  const [last] = await server.json<readonly Run[]>(["runs", "--limit", "1"]);
  assert.deepEqual(last?.details, {
    ...(last?.details as object),
    backup: chosen,
    members: [{ datastore: "database", method: "replaces the file" }],
  });
  assert.equal(await querySqlite(bot.database, "select count(*) from facts where subject = 'marker'"), "0");
  assert.deepEqual(
    readFileSync(bot.pm2Log, "utf8").slice(calls).trim().split("\n"),
    ["stop", "start", "pid"].map((action) => `${account.name} ${action} bot`),
  );
  assert.notEqual((await pm2("pid")).stdout, pid);
  assert.equal(statSync(bot.database).uid, account.uid);
});

test("G4 restores and status over the sockets: the admin one restores, the other one only tells", async () => {
  const status = (await curl(server.statusSocketPath, "/v1/status")) as Status;
  assert.equal(status.jobs[0]?.job, "bot");
  const body = ["-H", "content-type: application/json", "-d", "{}"];
  const refused = (await curl(server.statusSocketPath, "/v1/backups/latest/restore", ...body)) as { error: { code: string } };
  assert.equal(refused.error.code, "forbidden");
  const asked = (await curl(server.socketPath, "/v1/backups/latest/restore", ...body)) as { task: string; backup: string };
  const { stdout } = await runCommand([
    "curl",
    "-sS",
    "--unix-socket",
    server.statusSocketPath,
    `http://localhost/v1/tasks/${asked.task}/watch`,
  ]);
  const end = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { ended: boolean; state: string; result: { summary: string } };
  assert.deepEqual([end.ended, end.state], [true, "done"]);
  assert.ok(end.result.summary.includes(asked.backup));
});

test("W12 one backup is removed on purpose, after a plan and a word; one that was removed by hand is noticed and no error for ever", async () => {
  const [first = "", second = "", third = ""] = listDatabases();
  const plan = await server.holdfast(["delete", first, "--plan"]);
  assert.equal(plan.status, 0);
  assert.ok(plan.stdout.includes(first));
  assert.equal((await server.holdfast(["delete", first])).status, 7);
  assert.ok(listDatabases().includes(first));
  assert.equal((await server.holdfast(["delete", first, "--yes"])).status, 0);
  assert.deepEqual(
    readdirSync(bot.backups).filter((name) => name.startsWith(first)),
    [],
  );
  await runShell(`rm ${second}*`, { cwd: bot.backups });
  const missing = await server.holdfast(["verify", second]);
  assert.notEqual(missing.status, 0);
  assert.match(missing.stdout, new RegExp(`${second} is missing`));
  const made = await backUp();
  assert.equal((await server.holdfast(["verify", "--all", "--job", "bot"])).status, 0);
  const list = await server.json<readonly CatalogBackup[]>(["list"]);
  assert.ok(!list.some(({ name }) => name === second));
  assert.deepEqual(listDatabases().slice(0, 1), [third], "and it took nobody's place in the retention");
  assert.ok(listDatabases().includes(made));
  assert.equal((await server.json<Status>(["status"])).state, "ok");
});

test("P8 the audit trail: creation, clean-up, verification, error with its cause, each with its time", async () => {
  const entries = (await curl(server.statusSocketPath, "/v1/audit?limit=1000")) as readonly AuditEntry[];
  const find = (action: string, outcome: string): AuditEntry =>
    entries.find((entry) => entry.action === action && entry.outcome === outcome) ?? assert.fail(`${action} ${outcome}`);
  assert.match(find("backup.ok", "ok").details.summary ?? "", /^sqlite-backup-/);
  assert.match(find("backup.failed", "failed").details.summary ?? "", /not a plain SQLite database/);
  assert.match(find("verify.ok", "ok").details.summary ?? "", /verified/);
  assert.match(find("verify.failed", "failed").details.summary ?? "", /sqlite-backup-.* is missing/);
  assert.match(find("backup.removed", "ok").subject, /^sqlite-backup-/);
  assert.match(find("backup.vanished", "ok").subject, /^sqlite-backup-/);
  assert.match(find("restore.ok", "ok").details.summary ?? "", /restored from/);
  assert.ok(entries.every(({ atMs }) => Math.abs(Date.now() - atMs) < 600_000));
  assert.deepEqual(
    entries.map(({ atMs }) => atMs),
    entries.map(({ atMs }) => atMs).toSorted((one, other) => other - one),
    "newest first",
  );
});

test("P10 A18 a backup directory that is missing, unwritable or full: named, with the one command that helps; then the next run works", async () => {
  const place = join(dir, "p10");
  mkdirSync(place);
  const disk = join(place, "disk");
  mkdirSync(disk);
  const moved = substitute(bot.config, `path: ${bot.backups}`, `path: ${disk}/backups`);
  const config = substitute(moved, "layout: file", "layout: file\n    retry: { attempts: 1 }");
  await using mounts = new AsyncDisposableStack();
  await runCommand(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk]);
  mounts.defer(async () => void (await runCommand(["umount", "-l", disk])));
  await using installation = await createInstallation({ dir: place, config, env: bot.env });
  await using running = await installation.start();

  const missing = await installation.holdfast(["backup", "bot"]);
  assert.notEqual(missing.status, 0);
  assert.ok(missing.stderr.includes(`${disk}/backups`), missing.stderr);
  assert.match(missing.stderr, /holdfast destination init backups/);
  const check = await installation.holdfast(["check"]);
  assert.equal(check.status, 1, "A18: before the first run");
  assert.ok(check.stdout.includes(`${disk}/backups`) && check.stdout.includes("destination init backups"), check.stdout);
  mkdirSync(join(disk, "backups"));
  writeFileSync(join(disk, "backups/old.txt"), "somebody's");
  const unmarked = await installation.holdfast(["backup", "bot"]);
  assert.notEqual(unmarked.status, 0);
  assert.match(unmarked.stderr, /holdfast destination (init|adopt) backups/);
  assert.equal((await installation.holdfast(["destination", "adopt", "backups"])).status, 0);
  assert.equal((await installation.holdfast(["backup", "bot"])).status, 0, "and the next run works");

  await runCommand(["mount", "-o", "remount,ro", disk]);
  const readOnly = await installation.holdfast(["backup", "bot"]);
  const checkReadOnly = await installation.holdfast(["check"]);
  await runCommand(["mount", "-o", "remount,rw", disk]);
  assert.notEqual(readOnly.status, 0);
  assert.ok(readOnly.stderr.includes(`${disk}/backups`), readOnly.stderr);
  assert.match(readOnly.stderr, /read-only|written/);
  assert.equal(checkReadOnly.status, 1, "A18");
  assert.match(checkReadOnly.stdout, /read-only|Cannot write/i);
  assert.equal((await installation.holdfast(["backup", "bot"])).status, 0);

  await runShell(`head -c 39M /dev/zero > ${disk}/filler || true`);
  const kept = readdirSync(join(disk, "backups")).toSorted();
  const full = await installation.holdfast(["backup", "bot"]);
  assert.notEqual(full.status, 0);
  assert.ok(full.stderr.includes(`${disk}/backups`) || full.stderr.includes('"backups"'), full.stderr);
  assert.match(full.stderr, /space|full|fit/i);
  assert.deepEqual(readdirSync(join(disk, "backups")).toSorted(), kept, "nothing that looks like a backup is left");
  rmSync(join(disk, "filler"));
  assert.equal((await installation.holdfast(["backup", "bot"])).status, 0);
  await running.stop();
  renameSync(join(disk, "backups/old.txt"), join(disk, "old.txt"));
});
