import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import Database from "better-sqlite3";
import { openStateFile, type StateFile, withStateErrors } from "./open-state-file.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-state-"));
  path = join(directory, "state.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

const migrations = ["CREATE TABLE facts (fact TEXT NOT NULL CHECK (json_valid(fact))) STRICT"];
const describeFile = (facts: Partial<StateFile> = {}): StateFile => ({
  path,
  title: "ledger",
  applicationId: 0x4c454447,
  migrations,
  ...facts,
});
const open = (facts?: Partial<StateFile>) => openStateFile(describeFile(facts), "refuse");
const create = () => openStateFile(describeFile(), "create");

function fill(): void {
  const database = create();
  for (let count = 0; count < 60; count += 1)
    database.prepare("INSERT INTO facts VALUES (?)").run(JSON.stringify({ text: "x".repeat(300) }));
  database.close();
}

test("F11 a missing state file is an error, unless this is the first start; never an empty one silently", () => {
  assert.throws(() => open(), { code: "state-corrupt", message: `The ledger ${path} is missing` });
  assert.ok(!existsSync(path));
  create().close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(directory), ["state.db"]);
  open().close();
});

test("F11 a missing state file whose log is still there is an error even at the first start", () => {
  writeFileSync(`${path}-wal`, "left over");
  assert.throws(create, { code: "state-corrupt" });
  assert.ok(!existsSync(path));
});

test("F1 a first start that was cut short is done again", () => {
  writeFileSync(`${path}.new`, "half");
  writeFileSync(`${path}.new-journal`, "half");
  create().close();
  assert.deepEqual(readdirSync(directory), ["state.db"]);
});

test("F11 an empty file, another state file and no database at all are errors", () => {
  writeFileSync(path, "");
  assert.throws(create, { code: "state-corrupt", message: `The file ${path} is not a ledger: empty, or another database` });
  writeFileSync(path, "This is no database, and longer than one hundred bytes. ".repeat(20));
  assert.throws(create, { code: "state-corrupt" });
  rmSync(path);
  openStateFile(describeFile({ title: "diary", applicationId: 0x44494152 }), "create").close();
  const before = readFileSync(path);
  assert.throws(create, { code: "state-corrupt", message: `The file ${path} is not a ledger: empty, or another database` });
  assert.deepEqual(readFileSync(path), before);
});

test("F11 a state file cut anywhere is an error with a way out", () => {
  fill();
  const whole = join(directory, "whole");
  copyFileSync(path, whole);
  for (let bytes = 0; bytes < statSync(whole).size; bytes += 2_048) {
    for (const leftover of ["-wal", "-shm"]) rmSync(path + leftover, { force: true });
    copyFileSync(whole, path);
    truncateSync(path, bytes);
    assert.throws(
      create,
      (error: { code?: string; hint?: string }) => error.code === "state-corrupt" && /holdfast rebuild/.test(error.hint ?? ""),
      `cut at ${bytes}`,
    );
  }
});

test("F11 damaged pages and damaged JSON are found when the file is opened", () => {
  fill();
  const whole = readFileSync(path);
  for (let page = 1; page < whole.length / 4_096; page += 1) {
    writeFileSync(path, Buffer.from(whole).fill(0xff, page * 4_096, page * 4_096 + 64));
    assert.throws(() => open().close(), { code: "state-corrupt" }, `page ${page}`);
  }
  writeFileSync(path, whole.toString("latin1").replaceAll('{"text"', ' "text"'), "latin1");
  assert.throws(() => open().close(), { code: "state-corrupt" });
});

test("F11 a state file of a later version is refused and not changed", () => {
  fill();
  const later = new Database(path);
  later.pragma("user_version = 2");
  later.close();
  const before = readFileSync(path);
  assert.throws(create, { code: "state-newer", hint: "Install the later version again; the ledger is not changed." });
  assert.deepEqual(readFileSync(path), before);
});

test("an earlier version is brought forward, its rows stay; a migration that fails changes nothing", () => {
  fill();
  assert.throws(() => open({ migrations: [...migrations, "CREATE TABLE later (x); SELECT no_such_function()"] }));
  const brought = open({ migrations: [...migrations, "CREATE TABLE later (x)", "CREATE TABLE latest (x)"] });
  assert.equal(brought.pragma("user_version", { simple: true }), 3);
  assert.equal(brought.prepare("SELECT count(*) FROM facts").pluck().get(), 60);
  brought.close();
});

test("F18 what is committed is synced: write-ahead log, synchronous = FULL, foreign keys on", () => {
  const database = create();
  const read = (name: string) => database.pragma(name, { simple: true });
  assert.deepEqual([read("journal_mode"), read("synchronous"), read("foreign_keys"), read("busy_timeout")], ["wal", 2, 1, 5_000]);
  database.close();
});

test("F14 a full disk is named as such, and errors that are not SQLite's pass", () => {
  const fail =
    (code: string, message = "message") =>
    () =>
      withStateErrors(describeFile(), () => {
        throw new Database.SqliteError(message, code);
      });
  assert.throws(fail("SQLITE_FULL"), { code: "no-space", message: `Cannot use the ledger ${path}: message` });
  assert.throws(fail("SQLITE_BUSY"), { code: "busy" });
  assert.throws(fail("SQLITE_CORRUPT_INDEX"), { code: "state-corrupt" });
  assert.throws(fail("SQLITE_ERROR", "malformed JSON"), { code: "state-corrupt" });
  assert.throws(fail("SQLITE_IOERR_FSYNC"), { code: "SQLITE_IOERR_FSYNC" });
  assert.throws(() => withStateErrors(describeFile(), () => JSON.parse("{") as unknown), SyntaxError);
});
