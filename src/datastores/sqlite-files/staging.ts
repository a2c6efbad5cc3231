import { chmod, chown, lstat, mkdir, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { randomBytes } from "node:crypto";
import { HoldfastError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";

/**
 * A subdirectory of the staging directory that this user alone may use. Other users must be able to reach it but to list nothing on the
 * way, so the directories above it are given search permission (`x`) for others, and only those that are ours.
 */
export async function makeOwnedDirectory(stagingDir: string, identity: Identity | null): Promise<string> {
  const path = join(stagingDir, `sqlite-${randomBytes(6).toString("hex")}`);
  await mkdir(path, { mode: 0o700 });
  if (identity === null) return path;
  await chown(path, identity.uid, identity.gid);
  for (let level = stagingDir; level !== "/"; level = dirname(level)) await openForSearch(level, identity);
  return path;
}

async function openForSearch(path: string, identity: Identity): Promise<void> {
  const { mode, uid } = await stat(path);
  if ((mode & 0o001) !== 0 || (uid === identity.uid && (mode & 0o100) !== 0)) return;
  // A home directory or a mount of the machine's is not ours to open.
  if (uid !== process.geteuid?.() || dirname(path) === "/" || dirname(path) === "/home") {
    throw new HoldfastError(
      "source-unreadable",
      `user ${identity.user ?? identity.uid}, who owns the database, cannot reach the staging directory: ${path} is closed`,
      {
        hint: `Set a staging directory that others can reach, or run \`chmod o+x ${path}\`.`,
      },
    );
  }
  await chmod(path, (mode & 0o7777) | 0o001);
}

/**
 * Takes a finished copy out of the other user's hands: moved into the staging directory proper, owned by us, readable by us alone.
 * Refuses anything but a plain file of that user's with one name: a link there could make us read what that user may not.
 */
export async function takeOver(
  path: string,
  stagingDir: string,
  identity: Identity | null,
): Promise<{ readonly path: string; readonly bytes: number }> {
  const own = join(stagingDir, `copy-${randomBytes(6).toString("hex")}.db`);
  await rename(path, own);
  const stats = await lstat(own);
  if (!stats.isFile() || stats.nlink !== 1 || (identity !== null && stats.uid !== identity.uid)) {
    throw new HoldfastError("source-changed", "the staged copy was replaced while it was made", { retryable: false });
  }
  if (identity !== null) await chown(own, process.geteuid?.() ?? 0, process.getegid?.() ?? 0);
  await chmod(own, 0o600);
  return { path: own, bytes: stats.size };
}
