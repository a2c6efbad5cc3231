import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { countTarget } from "./count-target.ts";
import { inspectTarget } from "./inspect-target.ts";
import { sqliteOptions } from "./options.ts";

const program = `
  import Database from "better-sqlite3";
  const database = new Database(process.argv[1]);
  database.exec('pragma journal_mode = wal; create table "a b" (x); create table t (x); insert into t values (1), (2)');
  process.stdout.write("ready");
  process.stdin.resume();
`;
const signal = new AbortController().signal;

test("A14 counting what is there: with and without its application, and never where it would change something", async () => {
  const dir = mkdtempSync(join(tmpdir(), "count-"));
  const path = join(dir, "live.db");
  const options = sqliteOptions.parse({ path });
  const count = () => countTarget(path, options, signal);
  try {
    assert.equal(await count(), undefined, "nothing is there");
    const application = spawn(process.execPath, ["--input-type=module", "-e", program, path], { stdio: ["pipe", "pipe", "inherit"] });
    await once(application.stdout, "data");
    assert.deepEqual(await count(), { "rows.a b": 0, "rows.t": 2 }, "the last writes are in the WAL alone");
    const { newestChangeAtMs = 0 } = await inspectTarget(path, false);
    assert.ok(Math.abs(Date.now() - newestChangeAtMs) < 60_000);

    // Now nobody has it open, and the WAL holds what the database does not.
    application.kill("SIGKILL");
    await once(application, "close");
    const wal = readFileSync(`${path}-wal`);
    assert.ok(wal.length > 0);
    assert.equal(await count(), undefined);
    assert.deepEqual(readFileSync(`${path}-wal`), wal);

    const last = new Database(path);
    last.exec("select * from t");
    last.close();
    const names = readdirSync(dir).toSorted();
    const bytes = readFileSync(path);
    assert.deepEqual(await count(), { "rows.a b": 0, "rows.t": 2 });
    assert.deepEqual(readdirSync(dir).toSorted(), names, "it leaves nothing behind");
    assert.deepEqual(readFileSync(path), bytes);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
