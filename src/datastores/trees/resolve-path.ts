import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readErrno } from "../../base/errors.ts";

/** Resolves what is there of a path; the rest is taken as it is. */
export function resolvePath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (readErrno(error) !== "ENOENT" || path === dirname(path)) return path;
    return join(resolvePath(dirname(path)), basename(path));
  }
}
