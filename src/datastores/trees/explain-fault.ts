import { HoldfastError, readErrno } from "../../base/errors.ts";
import { escapePath } from "./raw-path.ts";

/** The expected failures of reading a source, with words: `Cannot dump "/srv/x": …`. Anything else is given back as it is. */
export function explainSourceFault(thrown: unknown, path: Buffer | string): Error {
  const place = `Cannot dump "${escapePath(path)}"`;
  switch (readErrno(thrown)) {
    case "ENOENT":
      return new HoldfastError("source-missing", `${place}: it is not there`, {
        hint: "Set `optional: true` where its absence is normal.",
        cause: thrown,
      });
    case "ENOTDIR":
      return new HoldfastError("source-missing", `${place}: it is no directory`, { cause: thrown });
    case "EACCES":
    case "EPERM":
    case "EIO":
    case "ELOOP":
    case "ESTALE":
      return new HoldfastError("source-unreadable", `${place}: ${readErrno(thrown)}`, {
        hint: "Check the owner, the mode and the disk.",
        cause: thrown,
      });
    default:
      return explainSpace(thrown, place);
  }
}

/** Turns a full disk into `no-space`; anything else is given back as it is. */
export function explainSpace(thrown: unknown, what: string): Error {
  const errno = readErrno(thrown);
  const full =
    errno === "ENOSPC" ||
    errno === "EDQUOT" ||
    (thrown instanceof HoldfastError && thrown.code === "tool-failed" && /No space left|Disk quota/.test(thrown.message));
  return full
    ? new HoldfastError("no-space", `${what}: no space is left`, { hint: "Free space or inodes, then run it again.", cause: thrown })
    : asError(thrown);
}

/** A fault of our own staging copy: never one of the source, which would only be noted as unreadable. */
export function explainStagingFault(thrown: unknown, path: string): Error {
  const what = `Cannot write the staging copy ${path}`;
  const explained = explainSpace(thrown, what);
  if (explained instanceof HoldfastError || readErrno(explained) === undefined) return explained;
  return new HoldfastError("disk-failed", `${what}: ${readErrno(explained)}`, {
    hint: "`journalctl -k` tells of failing disks; `stagingDir` can name another place.",
    cause: thrown,
  });
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
