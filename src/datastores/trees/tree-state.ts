import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { createAbortError } from "../../base/subprocess.ts";
import { walkTree } from "./walk-tree.ts";

const batchEntries = 2_000;

/**
 * A hash of which inodes a tree consists of and when each was last changed: equal states have equal contents and attributes, because
 * every write and every change of an attribute moves an inode's change time. Of the root itself that time is left out: a rename moves it.
 * Reads no file. Undefined when a part of the tree could not be looked at.
 */
export async function readTreeState(root: string, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash("sha256");
  let whole = true;
  let seen = 0;
  const rules = {
    enter: () => true,
    unreadable: () => {
      whole = false;
    },
  };
  for (const { path, stat } of walkTree(root, rules)) {
    const { dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs } = stat;
    hash.update(path).update(`\0${[dev, ino, mode, uid, gid, size, mtimeNs, path.length === 0 ? "" : ctimeNs].join(" ")}\n`);
    seen += 1;
    if (seen % batchEntries !== 0) continue;
    await setImmediate();
    if (signal.aborted) throw createAbortError(signal, "Looking at the tree was stopped");
  }
  return whole ? hash.digest("hex") : undefined;
}
