import { chmodSync, chownSync, lstatSync, mkdirSync } from "node:fs";
import { joinPath } from "./raw-path.ts";
import { readInode } from "./swap-steps.ts";

/**
 * Prepares that an entry which the backup leaves out is moved from the old tree into the staged one. What the backup has wins. Gives
 * the topmost path that the staged tree has more than the backup, or undefined when the entry stays aside.
 */
export function prepareCarry(old: string, staged: string, path: Buffer): Buffer | undefined {
  if (readInode(joinPath(staged, path)) !== undefined || readInode(joinPath(old, path)) === undefined) return undefined;
  let topmost: Buffer | undefined;
  for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
    const directory = path.subarray(0, slash);
    const stat = lstatSync(joinPath(staged, directory), { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isDirectory()) return undefined;
    if (stat !== undefined) continue;
    copyDirectory(joinPath(old, directory), joinPath(staged, directory));
    topmost ??= directory;
  }
  return topmost ?? path;
}

/** Whether prepareCarry would find a place for it in the staged tree. */
export function isFree(staged: string, path: Buffer): boolean {
  for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
    const stat = lstatSync(joinPath(staged, path.subarray(0, slash)), { throwIfNoEntry: false });
    if (stat?.isDirectory() === false) return false;
  }
  return readInode(joinPath(staged, path)) === undefined;
}

function copyDirectory(from: Buffer, to: Buffer): void {
  const stat = lstatSync(from);
  mkdirSync(to, 0o700);
  chownSync(to, stat.uid, stat.gid);
  chmodSync(to, stat.mode & 0o7777);
}
