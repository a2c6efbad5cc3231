import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import Database from "better-sqlite3";
import { startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { TmuxTerminal } from "../support/tmux-terminal.ts";

const wide = { columns: 160, rows: 60 };
let daemon: StartedDaemon;
let dir: string;

const createConfig = (place: string): string => `destinations:
  local: { kind: local, path: ${place}/backups }
datastores:
  memory: { kind: sqlite, path: ${place}/memory.db }
  notes: { kind: files, root: ${place}/notes }
  extra: { kind: files, root: ${place}/extra, optional: true }
jobs:
  nightly:
    datastores: [memory, notes]
    destination: local
    name: "nightly_{YYYYMMDD}_{HHmmss}"
    restore: { start: [[touch, ${place}/started]], askToStart: true }
  single: { datastores: [memory], destination: local, name: "single_{YYYYMMDD}_{HHmmss}" }
`;

function execute(sql: string): void {
  const database = new Database(join(dir, "memory.db"));
  database.exec(sql);
  database.close();
}

/** Rows of the table of messages, and whether the newer table is there; the note. */
function readLive(): readonly unknown[] {
  const database = new Database(join(dir, "memory.db"), { readonly: true });
  const count = database.prepare("select count(*) from messages").pluck().get();
  const later = database.prepare("select count(*) from sqlite_schema where name = 'later'").pluck().get();
  database.close();
  return [count, later, readFileSync(join(dir, "notes/one"), "utf8")];
}

const spoiled = [5, 1, "spoiled"];
const backedUp = [3, 0, "as it was"];

function spoil(): void {
  writeFileSync(join(dir, "notes/one"), "spoiled");
  execute(
    "delete from messages; insert into messages values (1), (2), (3), (4), (5); drop table if exists later; create table later (a); insert into later values (1), (2)",
  );
  rmSync(join(dir, "started"), { force: true });
}

const open = (args: readonly string[], size = wide): TmuxTerminal =>
  new TmuxTerminal(["--config", daemon.configPath, ...args], daemon.env, size);

before(async () => {
  daemon = await startDaemon({ config: createConfig, init: ["local"] });
  ({ dir } = daemon);
  mkdirSync(join(dir, "notes"));
  writeFileSync(join(dir, "notes/one"), "as it was");
  execute("create table messages (id integer primary key); insert into messages values (1), (2), (3)");
  await daemon.json(["backup", "nightly", "--note", "before the fair"]);
  await daemon.json(["backup", "single"]);
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
});

test(
  "P5 D5 W6 the whole way in a terminal: job, backup, datastores, plan, name, start, result, and the undo of it",
  { timeout: 300_000 },
  async () => {
    spoil();
    using terminal = open(["restore"]);
    await terminal.see(/Which job\?/);
    terminal.press("Enter");
    const list = await terminal.see(/Which backup\?/);
    assert.match(list, /❯ nightly_\d+_\d+ +\d+s old +[\d.]+ [KM]?i?B +verified, "before the fair"/);
    terminal.press("Enter");
    const datastores = await terminal.see(/Which datastores\?/);
    assert.match(datastores, /◉ memory \(sqlite, [\d.]+ KiB\)\n.*◉ notes \(files/);
    terminal.press("Enter");
    const plan = await terminal.see(/Type nightly to confirm/);
    assert.match(plan, /holds +2 tables, 7 rows/);
    assert.match(plan, /then +1 table, 3 rows/);
    assert.match(plan, /messages 5 → 3/);
    assert.match(plan, /later 2 → gone/);
    assert.match(plan, /changed +\d{4}-.* \(.* ago\)/);
    assert.match(plan, /! memory: the backup does not have the table later \(2 rows\), which will be gone/);
    assert.match(plan, /expected +unknown: no drill and no restore/);
    assert.match(plan, /space +up to .* free/);
    assert.match(plan, /! what was written since \d{4}-.* ago, is lost unless you undo/);
    assert.deepEqual(readLive(), spoiled);

    terminal.type("nigthly");
    terminal.press("Enter");
    await terminal.see(/That is not "nightly"/);
    assert.deepEqual(readLive(), spoiled);
    terminal.type("nightly");
    terminal.press("Enter");
    await terminal.see(/Start again afterwards \(touch/);
    assert.deepEqual(readLive(), spoiled);
    terminal.type("n");
    terminal.press("Enter");
    assert.equal(await terminal.exitStatus(), 0, terminal.read());
    const shown = terminal.read();
    assert.match(shown, /ok: memory, notes restored from nightly_\S+ and verified in \S+/);
    assert.match(shown, /What was there before is saved as pre_restore_/);
    const id = /To take it back: `holdfast undo ([0-9a-z]{20})`, until \d{4}-\d\d-\d\dT/.exec(shown)?.[1] ?? assert.fail(shown);
    assert.match(shown, /The application is stopped\. To start it: touch/);
    assert.ok(!existsSync(join(dir, "started")));
    assert.deepEqual(readLive(), backedUp);

    using undo = open(["undo", id]);
    const back = await undo.see(/Undo the restore of nightly_\S+\? Type nightly to confirm/);
    assert.match(back, /expected +about .*, as the restore of nightly_/);
    undo.type("wrong");
    undo.press("Enter");
    await undo.see(/That is not "nightly"/);
    undo.type("nightly");
    undo.press("Enter");
    assert.equal(await undo.exitStatus(), 0, undo.read());
    assert.deepEqual(readLive(), spoiled);
  },
);

test("P5 Ctrl-C at every question, and an empty name, touch nothing", { timeout: 300_000 }, async () => {
  spoil();
  const runs = async (): Promise<number> => (await daemon.json<readonly unknown[]>(["runs", "--limit", "1000"])).length;
  const count = await runs();
  const questions = [/Which job\?/, /Which backup\?/, /Which datastores\?/, /Type nightly to confirm/, /Start again afterwards/];
  for (const [last, question] of questions.entries()) {
    using terminal = open(["restore"]);
    for (const earlier of questions.slice(0, last)) {
      await terminal.see(earlier);
      if (earlier.source.startsWith("Type")) terminal.type("nightly");
      terminal.press("Enter");
    }
    await terminal.see(question);
    terminal.press("C-c");
    assert.equal(await terminal.exitStatus(), 7, terminal.read());
    assert.match(terminal.read(), /Nothing was done/);
  }
  using empty = open(["restore", "latest", "--job", "single"]);
  await empty.see(/Type memory to confirm/);
  empty.press("Enter");
  assert.equal(await empty.exitStatus(), 7);
  assert.deepEqual(readLive(), spoiled);
  assert.equal(await runs(), count);
});

test(
  "P5 W5 some datastores, in a narrow terminal without colours; one that cannot come back is shown with the reason",
  { timeout: 300_000 },
  async () => {
    spoil();
    const text = createConfig(dir).replace("notes: { kind: files", "other: { kind: files").replaceAll("[memory, notes]", "[memory, other]");
    await daemon.writeConfig(text);
    await daemon.json(["reload"]);
    try {
      using terminal = open(["--no-color", "restore", "--job", "nightly"], { columns: 44, rows: 30 });
      await terminal.see(/Which backup\?/);
      terminal.press("Enter");
      const list = (await terminal.see(/Which datastores\?/)).replaceAll("\n", "");
      assert.match(list, /◉ memory.*- notes \(files, .*\(There is no datastore "notes"\)/);
      terminal.press("Enter");
      await terminal.see(/Type m\s*e\s*m\s*o\s*r\s*y\s+to\s+c\s*o\s*n\s*f\s*i\s*r\s*m/);
      terminal.type("memory");
      terminal.press("Enter");
      await terminal.see(/Start again afterwards/);
      terminal.press("Enter");
      assert.equal(await terminal.exitStatus(), 0, terminal.read());
      // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
      assert.doesNotMatch(terminal.readColors(), /\u001b\[(3[0-7]|9[0-7]|38)/);
      assert.deepEqual(readLive(), [3, 0, "spoiled"]);
      assert.ok(existsSync(join(dir, "started")));
    } finally {
      await daemon.writeConfig(createConfig(dir));
      await daemon.json(["reload"]);
    }
  },
);
