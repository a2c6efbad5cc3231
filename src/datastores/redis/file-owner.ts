import { chown, lstat, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** What a file of the server is like, or would be: as it is now, else as its directory. */
export async function readOwner(path: string): Promise<{ readonly uid: number; readonly gid: number; readonly mode: number }> {
  const present = await lstat(path).catch(() => undefined);
  if (present?.isFile() === true) return { uid: present.uid, gid: present.gid, mode: present.mode & 0o777 };
  const { uid, gid } = present ?? (await stat(dirname(path)));
  return { uid, gid, mode: 0o640 };
}

/** Where we may give files away. */
export async function giveTo(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): Promise<void> {
  if (process.geteuid?.() === 0) await chown(path, uid, gid);
}
