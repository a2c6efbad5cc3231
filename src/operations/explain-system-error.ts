import { HoldfastError, readErrno } from "../base/errors.ts";

/** An error of the system that nobody has explained yet: a disk's, not a bug's. Anything else is given back as it is. */
export function explainSystemError(error: unknown): unknown {
  // What failed first is the reason; a cleaning up that failed as well is swept later.
  if (error instanceof SuppressedError) return explainSystemError(error.suppressed);
  const errno = readErrno(error);
  if (error instanceof HoldfastError || !(error instanceof Error) || errno === undefined || !("syscall" in error)) return error;
  if (errno === "ENOSPC" || errno === "EDQUOT") {
    return new HoldfastError("no-space", `There is no space left: ${error.message}`, {
      cause: error,
      hint: "Free some space, inodes included.",
    });
  }
  if (errno === "EROFS" || errno === "EACCES" || errno === "EPERM") {
    return new HoldfastError("target-unsafe", `Holdfast may not do this here: ${error.message}`, {
      cause: error,
      hint: "The service's sandbox must allow it: `holdfast check --verbose` prints the drop-in with `ReadWritePaths=` that the config needs. Or the file system is mounted read-only.",
    });
  }
  if (errno === "EBUSY" || errno === "EXDEV") {
    return new HoldfastError(
      "target-unsafe",
      `The place cannot be renamed: it is a mount point, or on another file system: ${error.message}`,
      {
        cause: error,
        hint: "Unmount it for the restore, or let the datastore name the place that is mounted there.",
      },
    );
  }
  return new HoldfastError("disk-failed", `The system refused what the run needed: ${error.message}`, {
    cause: error,
    hint: "`journalctl -k` tells of failing disks.",
  });
}
