import { lstat } from "node:fs/promises";
import { dirname } from "node:path";
import type { BigIntStats } from "node:fs";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { resolvePath } from "./identify.ts";
import { describeFileType, readSourceFile } from "../sqlite-files/source-file.ts";

/** The place of a database that is to be replaced. */
export interface TargetFile {
  /** Without symbolic links: a link stays a link, what it points to is replaced. */
  readonly path: string;
  readonly stats: BigIntStats | undefined;
}

/** Throws `target-unsafe` where no database can be put: something that is no plain file, or no directory to put it in. */
export async function readTargetFile(configured: string): Promise<TargetFile> {
  const path = await resolvePath(configured);
  const parent = await lstatIfThere(dirname(path));
  if (parent === undefined || !parent.isDirectory()) {
    throw new HoldfastError("target-unsafe", `${dirname(path)} is not a directory`, {
      hint: `Create it with the application's owner and mode: \`install -d -o USER -m 0750 ${dirname(path)}\`.`,
    });
  }
  const stats = await lstatIfThere(path);
  if (stats !== undefined && !stats.isFile()) throw new HoldfastError("target-unsafe", `${path} is ${describeFileType(stats)}, not a file`);
  return { path, stats };
}

/** Whether the present database is in WAL mode; undefined where there is none. Must not be called where it is open through SQLite. */
export async function isWalDatabase(path: string): Promise<boolean | undefined> {
  try {
    return (await readSourceFile(path))?.wal;
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

async function lstatIfThere(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
