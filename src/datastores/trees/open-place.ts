import { closeSync, constants, fchmodSync, fchownSync, futimesSync, openSync, realpathSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { escapePath } from "./raw-path.ts";

/** Without following a link in the place of the directory: whoever owns the one above can put one there at any time. */
export function setAttributes(
  path: Buffer | string,
  { mode, uid, gid, atime, mtime }: Pick<Stats, "mode" | "uid" | "gid"> & Partial<Pick<Stats, "atime" | "mtime">>,
): void {
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchownSync(directory, uid, gid);
    fchmodSync(directory, mode & 0o7777);
    if (atime !== undefined && mtime !== undefined) futimesSync(directory, atime, mtime);
  } finally {
    closeSync(directory);
  }
}

/** What a roll-back puts back must not land elsewhere. @throws restore-stuck where a directory above has become a link */
export function assertUnlinked(path: Buffer): void {
  const above = Buffer.from(dirname(path.toString("latin1")), "latin1");
  let real: Buffer;
  try {
    real = realpathSync(above, { encoding: "buffer" });
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(readErrno(error) ?? "")) return;
    throw error;
  }
  if (real.equals(above)) return;
  throw new HoldfastError("restore-stuck", `Cannot roll back the restore: ${escapePath(above)} has become a link, or lies behind one`, {
    hint: "Put the directory back in its place; the roll-back then goes on.",
  });
}
