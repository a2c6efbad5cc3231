import Database from "better-sqlite3";
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { describeCause, HoldfastError } from "./errors.ts";

/** A SQLite file that holds the daemon's own state. */
export interface StateFile {
  readonly path: string;
  /** What it is, for people: `queue`. */
  readonly title: string;
  /** Four bytes that tell it from any other SQLite database. */
  readonly applicationId: number;
  /** Forward only: the schema's version is how many of these were run. */
  readonly migrations: readonly string[];
}

const rebuildHint = "Stop the daemon, move the file aside and run `holdfast rebuild`: it makes a new state from the destinations.";

/**
 * Opens a state file, brought to the latest schema; what is committed is synced. A file that is missing is made only when the caller
 * says so: an empty state must never stand in for one that was lost.
 * @throws state-corrupt when missing unexpectedly, empty, truncated, damaged or another database; state-newer
 */
export function openStateFile(file: StateFile, whenMissing: "create" | "refuse"): Database.Database {
  return withStateErrors(file, () => {
    if (!existsSync(file.path)) createStateFile(file, whenMissing);
    const database = new Database(file.path, { fileMustExist: true, timeout: 5_000 });
    try {
      checkStateFile(database, file);
      database.pragma("journal_mode = WAL");
      database.pragma("synchronous = FULL");
      database.pragma("foreign_keys = ON");
      migrate(database, file.migrations);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Turns what SQLite throws into errors that say what to do. */
export function withStateErrors<Result>({ title, path }: Pick<StateFile, "title" | "path">, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    const message = `Cannot use the ${title} ${path}: ${describeCause(error)}`;
    const isDamage = /^SQLITE_(CORRUPT|NOTADB)/.test(error.code) || error.message === "malformed JSON";
    if (isDamage) throw new HoldfastError("state-corrupt", message, { hint: rebuildHint, cause: error });
    if (error.code === "SQLITE_FULL")
      throw new HoldfastError("no-space", message, { hint: "Free space on the state directory's disk.", cause: error });
    if (/^SQLITE_(BUSY|LOCKED)/.test(error.code))
      throw new HoldfastError("busy", message, { hint: "Close the program that has it open.", cause: error });
    if (/^SQLITE_(READONLY|CANTOPEN|PERM)/.test(error.code))
      throw new HoldfastError("state-unwritable", message, {
        hint: "Run it as root or as the account of the service, and look who owns the file and whether its disk is writable.",
        cause: error,
      });
    throw error;
  }
}

/** Made whole under another name first: no crash leaves half a file under the real one. */
function createStateFile({ path, title, applicationId, migrations }: StateFile, whenMissing: "create" | "refuse"): void {
  if (whenMissing === "refuse") throw new HoldfastError("state-corrupt", `The ${title} ${path} is missing`, { hint: rebuildHint });
  // SQLite would play a left-over log into the new file.
  if (existsSync(`${path}-wal`))
    throw new HoldfastError("state-corrupt", `The ${title} ${path} is missing but its log ${path}-wal is there`, { hint: rebuildHint });
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

function checkStateFile(database: Database.Database, { path, title, applicationId, migrations }: StateFile): void {
  if (database.pragma("application_id", { simple: true }) !== applicationId) {
    throw new HoldfastError("state-corrupt", `The file ${path} is not a ${title}: empty, or another database`, { hint: rebuildHint });
  }
  const version = readVersion(database);
  if (version > migrations.length) {
    throw new HoldfastError(
      "state-newer",
      `The ${title} ${path} has schema version ${version}, this Holdfast knows up to ${migrations.length}`,
      { hint: `Install the later version again; the ${title} is not changed.` },
    );
  }
  const verdict = database.pragma("integrity_check(1)", { simple: true });
  if (version < 1 || verdict !== "ok") {
    throw new HoldfastError("state-corrupt", `The ${title} ${path} is damaged: ${version < 1 ? "it has no schema" : String(verdict)}`, {
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
