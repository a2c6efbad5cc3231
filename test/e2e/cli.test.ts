import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { assertGolden } from "../support/golden.ts";
import { normaliseOutput } from "../support/normalise-output.ts";
import { execute, query } from "../support/sqlite.ts";

const createConfig = (dir: string): string => `destinations:
  local: { kind: local, path: ${dir}/backups }
  usb: { kind: local, path: ${dir}/usb, required: false }
datastores:
  app: { kind: sqlite, path: ${dir}/data/app.db }
  uploads: { kind: files, root: ${dir}/data/uploads }
notify:
  ops: { kind: command, command: [tee, -a, ${dir}/told], on: [failure] }
  broken: { kind: command, command: ["false"], on: [damaged] }
jobs:
  demo:
    datastores: [app, uploads]
    schedule: daily
    destination: local
    layout: archive
    compression: gzip
    name: "demo_{YYYYMMDD}_{HHmmss}"
    infoFiles: [backup_info.txt]
    timezone: UTC
    retention: { keepLast: 2 }
    maxAge: 3650d
    restore:
      stop: [[touch, ${dir}/stopped]]
      start: [[touch, ${dir}/started]]
      askToStart: true
`;

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly pinned: string | null;
  readonly note: string | null;
}

interface Ended {
  readonly task: string;
  readonly state: string;
  readonly backupId: string;
  readonly details: { readonly name: string; readonly preRestore?: string };
}

/** The steps follow one another on one installation, as a person's would. */
describe("the command line, with a daemon", { timeout: 600_000 }, () => {
  let daemon: StartedDaemon;
  let database = "";
  const golden = (name: string, text: string): void => assertGolden(`cli/${name}.txt`, normaliseOutput(text, daemon.dir));
  const list = (): Promise<readonly Listed[]> => daemon.json<readonly Listed[]>(["list", "demo"]);

  before(async () => {
    daemon = await startDaemon({ config: createConfig, init: ["local", "usb"], env: { HOLDFAST_HOSTNAME: "duck" } });
    database = join(daemon.dir, "data/app.db");
    await mkdir(join(daemon.dir, "data/uploads"), { recursive: true });
    await writeFile(join(daemon.dir, "data/uploads/avatar.txt"), "avatar\n");
    execute(database, "CREATE TABLE messages (text TEXT); INSERT INTO messages VALUES ('first'), ('second')");
  });

  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  it("shows jobs before anything was done", async () => {
    const { status, stdout } = await daemon.holdfast(["jobs"]);
    assert.equal(status, 0);
    golden("jobs", stdout);
    assert.equal((await daemon.holdfast(["runs"])).stdout, "");
    assert.equal((await daemon.holdfast(["list"])).stdout, "");
  });

  it("D7 P2 backs up, waits, tells progress and keeps the note", async () => {
    const { status, stdout, stderr } = await daemon.holdfast(["backup", "demo", "--note", "before migration 42"]);
    assert.equal(status, 0);
    assert.match(stdout, /^ok: demo_\d{8}_\d{6}\.tar\.gz, /);
    assert.match(stderr, /^(starting|waiting)/m);
    assert.equal((await list())[0]?.note, "before migration 42");
  });

  it("D7 a failed backup exits with 1 and leaves nothing that looks like a backup", async () => {
    const before = await list();
    await rm(join(daemon.dir, "data/uploads"), { recursive: true });
    const { status, stderr } = await daemon.holdfast(["backup", "demo"]);
    assert.equal(status, 1);
    assert.match(stderr, /^error: .*uploads/m);
    await mkdir(join(daemon.dir, "data/uploads"));
    await writeFile(join(daemon.dir, "data/uploads/avatar.txt"), "avatar\n");
    assert.deepEqual(await list(), before);
  });

  it("D4 W3 lists backups newest first, one line each on a pipe", async () => {
    await daemon.json(["backup", "demo"]);
    const { stdout } = await daemon.holdfast(["list"]);
    golden("list", stdout);
    const json = await list();
    assert.deepEqual(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split("\t")[0]),
      json.map(({ name }) => name),
    );
  });

  it("D3 shows what a backup holds, its info file and how to restore it by hand", async () => {
    const name = (await list())[1]?.name ?? "";
    golden("show", (await daemon.holdfast(["show", name])).stdout);
    const info = (await daemon.holdfast(["show", name, "--info"])).stdout;
    assert.match(info, new RegExp(`^Backup: +${name.replaceAll(".", "\\.")}$`, "m"));
    assert.match(info, /before migration 42[^]*messages[^\n]*2/);
    assert.match((await daemon.holdfast(["show", name, "--restore-text"])).stdout, /tar -xzf/);
    const manifest = JSON.parse((await daemon.holdfast(["show", name, "--manifest"])).stdout) as { readonly name: string };
    assert.equal(manifest.name, name);
    const shown = await daemon.json<{ readonly backup: Listed; readonly manifest: unknown }>(["show", name]);
    assert.equal(shown.backup.name, name);
    assert.deepEqual(shown.manifest, manifest);
  });

  it("P6 verifies one backup and all of them, and drills", async () => {
    const { status, stdout } = await daemon.holdfast(["verify", "--all"]);
    assert.equal(status, 0);
    assert.equal(stdout.match(/^ok {2}/gm)?.length, 2);
    assert.equal((await daemon.holdfast(["drill"])).status, 0);
  });

  it("D5 shows the plan of a restore and touches nothing", async () => {
    execute(database, "INSERT INTO messages VALUES ('marker')");
    const name = (await list())[0]?.name ?? "";
    const { status, stdout } = await daemon.holdfast(["restore", name, "--plan"]);
    assert.equal(status, 0);
    golden("restore-plan", stdout);
    const plan = await daemon.json<{ readonly datastores: readonly { readonly datastore: string; readonly problem: string | null }[] }>([
      "restore",
      "latest",
      "--only",
      "app",
      "--plan",
    ]);
    assert.deepEqual(
      plan.datastores.map(({ datastore, problem }) => [datastore, problem]),
      [["app", null]],
    );
    assert.equal(query(database, "SELECT count(*) FROM messages"), 3);
  });

  it("D5 does not restore unless it is confirmed", async () => {
    const { status, stderr } = await daemon.holdfast(["restore", "latest"]);
    assert.equal(status, 7);
    assert.match(stderr, /nobody to ask/);
    assert.equal(query(database, "SELECT count(*) FROM messages"), 3);
  });

  it("D5 D12 restores by path, saves what was there, and the marker row is gone", async () => {
    const name = (await list())[0]?.name ?? "";
    const ended = await daemon.json<Ended>(["restore", join(daemon.dir, "backups/demo", name), "--yes"]);
    assert.equal(ended.state, "ok");
    assert.match(ended.details.preRestore ?? "", /^pre_restore_\d{8}_\d{6}\.tar\.gz$/);
    assert.equal(query(database, "SELECT count(*) FROM messages"), 2);
    await readFile(join(daemon.dir, "stopped"));
    await readFile(join(daemon.dir, "started"));
    assert.match((await daemon.holdfast(["list", "--pre-restore"])).stdout, /^pre_restore_/);
  });

  it("D6 undoes the restore in one command", async () => {
    golden("undo-plan", (await daemon.holdfast(["undo", "--plan"])).stdout);
    assert.equal((await daemon.holdfast(["undo"])).status, 7);
    assert.equal((await daemon.holdfast(["undo", "--yes"])).status, 0);
    assert.equal(query(database, "SELECT count(*) FROM messages"), 3);
  });

  it("D5 leaves the application stopped when that is wanted", async () => {
    await rm(join(daemon.dir, "started"));
    const { status, stdout } = await daemon.holdfast(["restore", "latest", "--yes", "--no-start", "--only", "app"]);
    assert.equal(status, 0);
    assert.match(stdout, /The application is stopped\. To start it: touch .*started/);
    await assert.rejects(readFile(join(daemon.dir, "started")));
  });

  it("D9 D14 pins, copies, plans removals with reasons and removes", async () => {
    const [newest, oldest] = await list();
    assert.ok(newest !== undefined && oldest !== undefined);
    assert.match((await daemon.holdfast(["pin", oldest.name, "--reason", "the first"])).stdout, /is pinned \(verified, pinned\)/);
    assert.equal((await list())[1]?.pinned, "the first");
    assert.equal((await daemon.holdfast(["copy", oldest.name, "usb"])).status, 0);
    await daemon.json(["backup", "demo"]);
    golden("prune-plan", (await daemon.holdfast(["prune", "demo", "--plan"])).stdout);
    assert.equal((await list()).length, 4, "three at local, of which one is pinned, and a copy");
    await daemon.json(["unpin", oldest.name, "--destination", "local"]);
    assert.equal((await daemon.holdfast(["prune", "demo"])).status, 7);
    const pruned = await daemon.holdfast(["prune", "demo", "--yes"]);
    assert.match(pruned.stdout, /^ok: 1 backup removed$/m);
    const aged = await daemon.json<{ readonly removeCount: number; readonly keepCount: number }>([
      "prune",
      "demo",
      "--older-than",
      "1s",
      "--plan",
    ]);
    assert.deepEqual([aged.removeCount, aged.keepCount], [1, 1], "D9: what is older than the newest by more than a second");
    const month = await daemon.json<{ readonly removeCount: number }>(["prune", "demo", "--older-than", "30d", "--plan"]);
    assert.equal(month.removeCount, 0);
    assert.equal((await daemon.holdfast(["prune", "demo", "--older-than", "soon"])).status, 2);
    assert.equal((await daemon.holdfast(["prune", "demo", "--yes"])).stdout, "ok: nothing to remove\n");
  });

  it("W12 removes one backup on purpose, but not the last verified one", async () => {
    const backups = await list();
    assert.equal((await daemon.holdfast(["delete", backups[0]?.name ?? ""])).status, 7);
    assert.equal((await daemon.holdfast(["delete", backups[0]?.name ?? "", "--plan"])).status, 0);
    assert.equal((await daemon.holdfast(["delete", backups[0]?.name ?? "", "--yes"])).status, 0);
    assert.deepEqual(await list(), backups.slice(1));
    await daemon.json(["pin", backups[1]?.id ?? "", "--destination", "local"]);
    const { status, stderr } = await daemon.holdfast(["delete", backups[1]?.id ?? "", "--destination", "local", "--yes"]);
    assert.equal(status, 7);
    assert.match(stderr, /stays: it is pinned/);
  });

  it("pause, resume, reload and rebuild say what they did", async () => {
    golden("pause", (await daemon.holdfast(["pause", "demo", "--reason", "migration"])).stdout);
    assert.equal((await daemon.holdfast(["status", "--check"])).status, 1);
    golden("resume", (await daemon.holdfast(["resume", "demo"])).stdout);
    golden("reload", (await daemon.holdfast(["reload"])).stdout);
    assert.match((await daemon.holdfast(["rebuild"])).stdout, /^local: 0 new, 0 changed, 0 gone, 0 unreadable\nusb: 0 new, /);
  });

  it("cancels a task that waits, follows one to its end, and --detach only asks", async () => {
    await daemon.json(["pause"]);
    const asked = await daemon.holdfast(["backup", "demo", "--detach"]);
    const task = asked.stdout.trim();
    assert.match(task, /^[0-9a-z]{20}$/);
    assert.deepEqual(await daemon.json(["cancel", task]), { task, state: "cancelled" });
    assert.equal((await daemon.holdfast(["watch", task])).status, 5);
    const other = (await daemon.holdfast(["backup", "demo", "--detach"])).stdout.trim();
    await daemon.json(["resume"]);
    assert.equal((await daemon.json<Ended>(["watch", other])).state, "ok");
  });

  it("Ctrl-C ends the wait and not the task, and says so", async () => {
    await daemon.json(["pause"]);
    const { status, stderr } = await daemon.holdfast(["backup", "demo"], { whenSaid: { text: /paused/, act: "interrupt" } });
    assert.equal(status, 5);
    assert.match(stderr, /Not waiting any more; the task goes on\n.*`holdfast watch [0-9a-z]{20}`.*`holdfast cancel [0-9a-z]{20}`/);
    const { tasks } = await daemon.json<{ readonly tasks: readonly { readonly id: string }[] }>(["status"]);
    assert.equal(tasks.length, 1);
    await daemon.json(["cancel", tasks[0]?.id ?? ""]);
    await daemon.json(["resume"]);
  });

  it("A11 reports per job and per destination", async () => {
    golden("report", (await daemon.holdfast(["report"])).stdout);
    const report = await daemon.json<{
      readonly jobs: readonly { readonly newest: readonly unknown[]; readonly noneInLastDay: boolean }[];
    }>(["report"]);
    assert.equal(report.jobs[0]?.noneInLastDay, false);
  });

  it("shows the status and the runs", async () => {
    golden("status", (await daemon.holdfast(["status"])).stdout);
    golden("runs", (await daemon.holdfast(["runs", "--limit", "1"])).stdout);
    const check = await daemon.holdfast(["status", "--check"]);
    assert.equal(check.status, 0);
    assert.match(check.stdout, /^OK: 1 job ok; idle; next /);
  });

  it("G7 tells a failed unit and tests channels without asking the daemon", async () => {
    assert.equal((await daemon.holdfast(["report-failure", "holdfast.service"])).stdout, "ops: told\n");
    assert.match(await readFile(join(daemon.dir, "told"), "utf8"), /holdfast\.service failed on duck/);
    assert.equal((await daemon.holdfast(["notify-test", "ops"])).status, 0);
    const broken = await daemon.holdfast(["notify-test", "broken"]);
    assert.equal(broken.status, 1);
    assert.match(broken.stdout, /did not take the message: /);
  });
});
