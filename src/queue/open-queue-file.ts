import Database from "better-sqlite3";
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { describeCause, HoldfastError } from "../base/errors.ts";

/** "HFQU": tells a queue from any other SQLite database. */
const applicationId = 0x48_46_51_55;
const rebuildHint = "Stop the daemon, move the file aside and run `holdfast rebuild`: it makes a new state from the destinations.";

/**
 * Opens the queue's file, brought to the latest schema. A file that is missing is made only when the caller says so: an empty queue
 * must never stand in for one that was lost.
 * @throws state-corrupt when missing unexpectedly, empty, truncated, damaged or no queue; state-newer
 */
export function openQueueFile(path: string, whenMissing: "create" | "refuse", migrations: readonly string[]): Database.Database {
  return withStateErrors(path, () => {
    if (!existsSync(path)) createQueueFile(path, whenMissing, migrations);
    const database = new Database(path, { fileMustExist: true, timeout: 5_000 });
    try {
      checkQueueFile(database, path, migrations.length);
      database.pragma("journal_mode = WAL");
      database.pragma("synchronous = FULL");
      database.pragma("foreign_keys = ON");
      migrate(database, migrations);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Turns what SQLite throws into errors that say what to do. */
export function withStateErrors<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    const message = `Cannot use the queue ${path}: ${describeCause(error)}`;
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(error.code)) throw new HoldfastError("state-corrupt", message, { hint: rebuildHint, cause: error });
    if (error.code === "SQLITE_FULL")
      throw new HoldfastError("no-space", message, { hint: "Free space on the state directory's disk.", cause: error });
    if (/^SQLITE_(BUSY|LOCKED)/.test(error.code))
      throw new HoldfastError("busy", message, { hint: "Close the program that has it open.", cause: error });
    throw error;
  }
}

/** Made whole under another name first: no crash leaves half a queue under the real one. */
function createQueueFile(path: string, whenMissing: "create" | "refuse", migrations: readonly string[]): void {
  if (whenMissing === "refuse") throw new HoldfastError("state-corrupt", `The queue ${path} is missing`, { hint: rebuildHint });
  // SQLite would play a left-over log into the new file.
  if (existsSync(`${path}-wal`))
    throw new HoldfastError("state-corrupt", `The queue ${path} is missing but its log ${path}-wal is there`, { hint: rebuildHint });
  const draft = `${path}.new`;
  for (const leftover of [draft, `${draft}-journal`]) rmSync(leftover, { force: true });
  closeSync(openSync(draft, "wx", 0o600));
  const database = new Database(draft);
  try {
    database.pragma("synchronous = FULL");
    database.pragma(`application_id = ${applicationId}`);
    migrate(database, migrations);
  } finally {
    database.close();
  }
  renameSync(draft, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function checkQueueFile(database: Database.Database, path: string, knownVersion: number): void {
  if (database.pragma("application_id", { simple: true }) !== applicationId) {
    throw new HoldfastError("state-corrupt", `The file ${path} is not a queue: empty, or another database`, { hint: rebuildHint });
  }
  const version = readVersion(database);
  if (version > knownVersion) {
    throw new HoldfastError("state-newer", `The queue ${path} has schema version ${version}, this Holdfast knows up to ${knownVersion}`, {
      hint: "Install the later version again; the queue is not changed.",
    });
  }
  const verdict = database.pragma("integrity_check(1)", { simple: true });
  if (version < 1 || verdict !== "ok") {
    throw new HoldfastError("state-corrupt", `The queue ${path} is damaged: ${version < 1 ? "it has no schema" : String(verdict)}`, {
      hint: rebuildHint,
    });
  }
}

function migrate(database: Database.Database, migrations: readonly string[]): void {
  for (const [done, sql] of migrations.entries()) {
    if (done < readVersion(database)) continue;
    database
      .transaction(() => {
        database.exec(sql);
        database.pragma(`user_version = ${done + 1}`);
      })
      .immediate();
  }
}

function readVersion(database: Database.Database): number {
  return Number(database.pragma("user_version", { simple: true }));
}
