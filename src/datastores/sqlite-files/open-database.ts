import Database from "better-sqlite3";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { classifySqliteError } from "./classify-error.ts";

/** Opens an existing database; the caller closes it. */
export function openDatabase(path: string, busyTimeoutMs: number): Database.Database {
  // better-sqlite3 trims file names: it would open, or create, another file.
  if (path !== path.trim()) throw new HoldfastError("source-unreadable", `the file name ${JSON.stringify(path)} ends in white space`);
  const database = openFile(path);
  database.pragma(`busy_timeout = ${busyTimeoutMs}`);
  // The schema is somebody else's: nothing in it may run functions with effects.
  database.pragma("trusted_schema = off");
  return database;
}

/** SQLite says neither at once nor by its name which file it cannot open: of a WAL database only the first reading tells it. */
function openFile(path: string): Database.Database {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { fileMustExist: true, timeout: 0 });
    database.pragma("schema_version");
  } catch (error) {
    if (database === undefined || isCannotOpen(error)) {
      database?.close();
      throw isCannotOpen(error) ? prefixError(path, classifySqliteError(error)) : error;
    }
    // A lock, or damage: whoever reads it next waits for the one and tells the other.
  }
  return database;
}

function isCannotOpen(error: unknown): boolean {
  return readErrno(error)?.startsWith("SQLITE_CANTOPEN") ?? false;
}

/** The single value of a pragma that yields a number. */
export function readNumber(database: Database.Database, pragma: string): number {
  return Number(database.pragma(pragma, { simple: true }));
}

/** The single value of a pragma that yields text. */
export function readText(database: Database.Database, pragma: string): string {
  return String(database.pragma(pragma, { simple: true }));
}
