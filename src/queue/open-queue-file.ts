import type Database from "better-sqlite3";
import { openStateFile, withStateErrors } from "../base/open-state-file.ts";

const title = "queue";
/** "HFQU": tells a queue from any other SQLite database. */
const applicationId = 0x48_46_51_55;

/** Opens the queue's file, see openStateFile. @throws state-corrupt, state-newer */
export function openQueueFile(path: string, whenMissing: "create" | "refuse", migrations: readonly string[]): Database.Database {
  return openStateFile({ path, title, applicationId, migrations }, whenMissing);
}

/** Turns what SQLite throws into errors that say what to do. */
export function withQueueErrors<Result>(path: string, work: () => Result): Result {
  return withStateErrors({ path, title }, work);
}
