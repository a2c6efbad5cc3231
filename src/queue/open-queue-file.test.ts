import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import Database from "better-sqlite3";
import { systemClock } from "../base/clock.ts";
import { migrations } from "./migrations.ts";
import { openQueue } from "./open-queue.ts";
import { openQueueFile } from "./open-queue-file.ts";

// That a state file survives what may happen to it is proven in base/open-state-file.test.ts; here, that the queue is one.
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-queue-"));
  path = join(directory, "queue.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = () => openQueueFile(path, "refuse", migrations);
const create = () => openQueueFile(path, "create", migrations);

/** A queue with something in it, closed and in one file. */
function makeQueue(): void {
  using queue = openQueue({ path, clock: systemClock, concurrency: 1, whenMissing: "create" });
  for (let count = 0; count < 50; count += 1) {
    queue.enqueue({
      kind: "backup",
      payload: { text: "x".repeat(300) },
      keys: [],
      priority: "scheduled",
      requester: "test",
      idempotencyKey: `k${count}`,
    });
  }
}

test("F11 a missing queue is an error, unless this is the first start; never an empty one silently", () => {
  assert.throws(open, { code: "state-corrupt", message: `The queue ${path} is missing` });
  assert.ok(!existsSync(path));
  create().close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(directory), ["queue.db"]);
  open().close();
});

test("F11 an empty file, another program's database and no database at all are errors", () => {
  writeFileSync(path, "");
  assert.throws(create, { code: "state-corrupt" });
  writeFileSync(path, "This is no database, and longer than one hundred bytes. ".repeat(20));
  assert.throws(create, { code: "state-corrupt" });
  rmSync(path);
  const foreign = new Database(path);
  foreign.exec("CREATE TABLE tasks (id)");
  foreign.close();
  const before = readFileSync(path);
  assert.throws(create, { code: "state-corrupt", message: `The file ${path} is not a queue: empty, or another database` });
  assert.deepEqual(readFileSync(path), before);
});

test("F11 damaged pages and damaged JSON are found when the queue is opened", () => {
  makeQueue();
  const whole = readFileSync(path);
  const pages = whole.length / 4_096;
  for (let page = 1; page < pages; page += 1) {
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, page * 4_096, page * 4_096 + 64);
    writeFileSync(path, damaged);
    assert.throws(() => open().close(), { code: "state-corrupt" }, `page ${page}`);
  }
  const damaged = whole.toString("latin1").replaceAll('{"text"', ' "text"');
  writeFileSync(path, damaged, "latin1");
  assert.throws(() => open().close(), { code: "state-corrupt" });
});

test("F11 a queue of a later version is refused and not changed", () => {
  makeQueue();
  const later = new Database(path);
  later.pragma(`user_version = ${migrations.length + 1}`);
  later.close();
  const before = readFileSync(path);
  assert.throws(create, { code: "state-newer" });
  assert.deepEqual(readFileSync(path), before);
});

test("an earlier version is brought forward, its tasks stay; a migration that fails changes nothing", () => {
  makeQueue();
  assert.throws(() => openQueueFile(path, "refuse", [...migrations, "CREATE TABLE later (x); SELECT no_such_function()"]));
  openQueueFile(path, "refuse", [...migrations, "CREATE TABLE later (x)"]).close();
  const database = openQueueFile(path, "refuse", [...migrations, "CREATE TABLE later (x)", "CREATE TABLE latest (x)"]);
  assert.equal(database.pragma("user_version", { simple: true }), migrations.length + 2);
  assert.equal(database.prepare("SELECT count(*) FROM tasks, (SELECT count(*) FROM later, latest)").pluck().get(), 50);
  database.close();
});
