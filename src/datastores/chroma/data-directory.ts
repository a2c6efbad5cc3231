import { readdir, realpath, lstat } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { type SourceFile, readSourceFile } from "../sqlite-files/source-file.ts";
import { explainSourceFault } from "../trees/explain-fault.ts";

export const databaseName = "chroma.sqlite3";
/** What SQLite keeps beside a database that is in use. */
export const databaseCompanions: readonly string[] = ["-journal", "-wal", "-shm"].map((suffix) => databaseName + suffix);

/** A server's data directory as it was found. */
export interface DataDirectory {
  readonly root: string;
  readonly database: SourceFile;
}

/** Undefined when an optional one is not there, or empty. @throws source-missing, source-empty, source-unreadable, source-encrypted */
export async function openDataDirectory(path: string, settings: { readonly optional: boolean }): Promise<DataDirectory | undefined> {
  try {
    const root = await realpath(path);
    if (!(await lstat(root)).isDirectory())
      throw new HoldfastError("source-unreadable", `Cannot dump "${path}": it is no directory`, {
        hint: "`path` names the data directory of the server.",
      });
    const database = await readSourceFile(join(root, databaseName));
    if (database !== undefined && database.realPath === join(root, databaseName)) return { root, database };
    if (database !== undefined)
      throw new HoldfastError("source-unreadable", `Cannot dump "${path}": ${databaseName} is a link`, {
        hint: "`path` must name the directory where it lies.",
      });
    if (settings.optional && (await readdir(root)).length === 0) return undefined;
    throw new HoldfastError("source-missing", `Cannot dump "${path}": there is no ${databaseName} in it`, {
      hint: "`path` names the data directory of a Chroma server (PERSIST_DIRECTORY, `chroma run --path`), version 0.4 or later.",
    });
  } catch (error) {
    if (settings.optional && readErrno(error) === "ENOENT") return undefined;
    throw error instanceof HoldfastError ? error : explainSourceFault(error, path);
  }
}
