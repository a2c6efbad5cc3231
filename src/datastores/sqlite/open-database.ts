import Database from "better-sqlite3";
import { HoldfastError } from "../../base/errors.ts";

/** Opens an existing database; the caller closes it. */
export function openDatabase(path: string, busyTimeoutMs: number): Database.Database {
  // better-sqlite3 trims file names: it would open, or create, another file.
  if (path !== path.trim()) throw new HoldfastError("source-unreadable", `the file name ${JSON.stringify(path)} ends in white space`);
  const database = new Database(path, { fileMustExist: true, timeout: busyTimeoutMs });
  // The schema is somebody else's: nothing in it may run functions with effects.
  database.pragma("trusted_schema = off");
  return database;
}

/** The single value of a pragma that yields a number. */
export function readNumber(database: Database.Database, pragma: string): number {
  return Number(database.pragma(pragma, { simple: true }));
}

/** The single value of a pragma that yields text. */
export function readText(database: Database.Database, pragma: string): string {
  return String(database.pragma(pragma, { simple: true }));
}
