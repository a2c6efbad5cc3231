import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import Database from "better-sqlite3";
import { createInstallation, type CallResult, type Installation, type RunningDaemon } from "../support/daemon.ts";
import { readUndo, succeed } from "../support/offline-place.ts";
import { startProgram } from "../support/sqlite.ts";
import { listTree, runShell } from "../support/trees.ts";
import type { RestorePlan } from "../../src/operations/plan-restore.ts";

describe("A6 G6 a table or some files come back, the rest stays", () => {
  let dir: string;
  let database: string;
  let installation: Installation;
  let daemon: RunningDaemon;
  let backup: string;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "parts-"));
    chmodSync(dir, 0o755);
    mkdirSync(join(dir, "srv/uploads/avatars"), { recursive: true });
    database = join(dir, "srv/app.db");
    query("pragma journal_mode = wal");
    query("create table setting (name text primary key, value text)");
    query("insert into setting values ('theme', 'old'), ('lost', 'kept')");
    runShell("for n in 1 2; do echo $n > avatars/$n.png; done; echo terms > terms.txt; ln -s terms.txt link", join(dir, "srv/uploads"));
    installation = await createInstallation({
      dir,
      init: ["local"],
      config: `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  app: { kind: sqlite, path: ${database} }
  uploads: { kind: files, root: ${dir}/srv/uploads }
jobs:
  nightly: { datastores: [app, uploads], destination: local, layout: archive, name: "nightly_{YYYYMMDD}_{HHmmss}" }
`,
    });
    daemon = await installation.start();
    backup = (await installation.json<{ details: { name: string } }>(["backup", "nightly"])).details.name;
  });
  after(async () => {
    await installation[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  function query(sql: string): unknown {
    const opened = new Database(database, { timeout: 10_000 });
    try {
      const statement = opened.prepare(sql);
      return statement.reader ? statement.pluck().all() : statement.run().changes;
    } finally {
      opened.close();
    }
  }

  const uploads = (): string =>
    runShell("find . -mindepth 1 -printf '%P %y %l\\n' | sort; cat avatars/*.png *.txt 2>/dev/null || true", join(dir, "srv/uploads"));
  const settings = (): unknown => query("select name || '=' || value from setting order by name");

  test("D5 A6 one table of a live database, while an application writes to others; undo takes back that table alone", async () => {
    query("update setting set value = 'spoilt' where name = 'theme'");
    query("delete from setting where name = 'lost'");
    await using writer = await startProgram("sqlite-writer.ts", [database, "wal", "5"]);
    const unknown = await installation.json<RestorePlan>(["restore", backup, "--only", "app", "--table", "nosuch", "--plan"]);
    assert.match(unknown.datastores[0]?.notes.map(({ message }) => message).join() ?? "", /tells of no rows of nosuch, but of .*setting/);
    const plan = await installation.json<RestorePlan>(["restore", backup, "--only", "app", "--table", "setting", "--plan"]);
    assert.doesNotMatch(JSON.stringify(plan.datastores[0]?.notes), /tells of no rows/);
    assert.deepEqual([plan.tables, plan.paths], [["setting"], null]);
    assert.match(plan.datastores[0]?.method ?? "", /replaces the table in one transaction; all other tables stay/);
    succeed(await installation.holdfast(["restore", backup, "--only", "app", "--table", "setting", "--yes"]));
    assert.deepEqual(settings(), ["lost=kept", "theme=old"]);
    const undone = await installation.holdfast(["undo", "--yes"]);
    succeed(undone);
    const report = JSON.parse(await writer.stop("stop")) as { errors: string[]; committed: number };
    assert.deepEqual(report.errors, []);
    assert.deepEqual(query("select count(*) from one"), [report.committed], "no write to another table was lost, by restore or undo");
    assert.deepEqual(settings(), ["theme=spoilt"]);
    assert.match(undone.stderr, /tables setting; everything else stays as it is/);
  });

  test("A6 a glob and a file of a tree, files that came since are kept, and undo is the identity on what was chosen", async () => {
    runShell(
      "echo new > avatars/new.png; echo spoilt > avatars/1.png; rm avatars/2.png link; echo changed > terms.txt; echo else > else.txt",
      join(dir, "srv/uploads"),
    );
    const changed = uploads();
    const tree = listTree(join(dir, "srv/uploads")).filter((line) => !/\td\t/.test(line));
    const plan = await installation.holdfast([
      "restore",
      backup,
      "--only",
      "uploads",
      "--path",
      "avatars/*.png",
      "--path",
      "link",
      "--plan",
    ]);
    assert.match(plan.stdout, /only +paths avatars\/\*\.png, link; everything else stays as it is/);
    assert.match(plan.stdout, /how +replaces file by file what matches; what matches and is not in the backup stays as it is/);
    succeed(await installation.holdfast(["restore", backup, "--only", "uploads", "--path", "avatars/*.png", "--path", "link", "--yes"]));
    assert.equal(
      uploads(),
      "avatars d \navatars/1.png f \navatars/2.png f \navatars/new.png f \nelse.txt f \nlink l terms.txt\nterms.txt f \n1\n2\nnew\nelse\nchanged\n",
    );
    runShell("echo later > else.txt", join(dir, "srv/uploads"));
    succeed(await installation.holdfast(["undo", "--yes"]));
    assert.match(uploads(), /later/, "what was not chosen has gone on");
    runShell("echo else > else.txt", join(dir, "srv/uploads"));
    assert.equal(uploads(), changed);
    const times = (lines: readonly string[]): readonly string[] => lines.filter((line) => !line.startsWith("else.txt"));
    assert.deepEqual(times(listTree(join(dir, "srv/uploads")).filter((line) => !/\td\t/.test(line))), times(tree));
  });

  test("what cannot be meant is refused with the way out, and nothing is touched", async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["--path", "terms.txt"], /--only app, or --only uploads/],
      [["--only", "app", "--path", "terms.txt"], /single tables can be: --table/],
      [["--only", "uploads", "--table", "setting"], /single paths can be: --path/],
      [["--only", "uploads", "--path", "terms.txt", "--table", "setting"], /Say --table, or --path/],
    ];
    for (const [args, told] of cases) {
      const { status, stderr } = await installation.holdfast(["restore", backup, ...args, "--yes"]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, told);
    }
    const before = uploads();
    const missing: readonly (readonly [readonly string[], RegExp])[] = [
      [["--only", "uploads", "--path", "nothing/*"], /nothing in "uploads" that matches nothing/],
      [["--only", "app", "--table", "nothing"], /has no table nothing/],
    ];
    for (const [args, told] of missing) {
      const { status, stdout, stderr } = await installation.holdfast(["restore", backup, ...args, "--yes"]);
      assert.notEqual(status, 0);
      assert.match(stdout + stderr, told);
    }
    assert.equal(uploads(), before);
  });

  test("a plan says which paths the backup does not have, and what is there now counts for nothing", async () => {
    runShell("echo came > later.txt", join(dir, "srv/uploads"));
    const before = uploads();
    const wanted = ["--only", "uploads", "--path", "avatars/*.png", "--path", "later.txt", "--path", `${dir}/srv/uploads/gone/*`];
    const told = new RegExp(`has nothing that matches later\\.txt, ${dir}/srv/uploads/gone/\\*: the restore is refused`);
    const path = join(dir, "backups/nightly", backup);
    for (const from of [[backup], ["--offline", path]]) {
      const plan = await installation.json<Pick<RestorePlan, "datastores">>(["restore", ...from, ...wanted, "--plan"]);
      assert.match(plan.datastores[0]?.notes.map(({ message }) => message).join() ?? "", told);
      const there = await installation.json<Pick<RestorePlan, "datastores">>(["restore", ...from, ...wanted.slice(0, 4), "--plan"]);
      assert.deepEqual(there.datastores[0]?.notes, []);
      const { status, stdout, stderr } = await installation.holdfast(["restore", ...from, ...wanted.slice(0, 6), "--yes"]);
      assert.equal(status, 4, stdout + stderr);
      assert.match(stdout + stderr, /nothing in "uploads" that matches later\.txt/);
    }
    assert.equal(uploads(), before);
  });

  test("D10 the same offline, and the named command takes back the same part", async () => {
    await daemon.stop();
    const path = join(dir, "backups/nightly", backup);
    const offline = (args: readonly string[]): Promise<CallResult> =>
      installation.holdfast(["restore", "--offline", path, ...args, "--yes"]);
    query("update setting set value = 'again'");
    const before = settings();
    const table = succeed(await offline(["--only", "app", "--table", "setting"]));
    assert.deepEqual(settings(), ["lost=kept", "theme=old"]);
    assert.ok(readUndo(table).join(" ").includes("--table setting"));
    succeed(await installation.holdfast(readUndo(table)));
    assert.deepEqual(settings(), before);
    runShell("rm -f avatars/1.png", join(dir, "srv/uploads"));
    const files = uploads();
    const restored = succeed(await offline(["--only", "uploads", "--path", "avatars"]));
    assert.match(uploads(), /avatars\/1\.png/);
    succeed(await installation.holdfast(readUndo(restored)));
    assert.equal(uploads(), files);
  });
});
