import { lstatSync, readdirSync } from "node:fs";
import { HoldfastError } from "../../base/errors.ts";
import type { PathSelection } from "../../base/path-selection.ts";
import { listMountPoints } from "../trees/mounts.ts";
import { escapePath, joinPath } from "../trees/raw-path.ts";
import { RawPathSet } from "./raw-path-set.ts";
import { readInode } from "../trees/swap-steps.ts";
import { walkTree } from "../trees/walk-tree.ts";

/** One act of a swap of chosen paths, on a path below the root. */
export type PathAct =
  | { readonly act: "place"; readonly path: Buffer; readonly replaces: "something" | "nothing" }
  | { readonly act: "attributes"; readonly path: Buffer }
  | { readonly act: "remove"; readonly path: Buffer };

export interface PathsToPlan {
  readonly root: string;
  /** The tree of what comes back, nothing else in it; undefined where nothing does. */
  readonly staged: string | undefined;
  readonly selection: PathSelection;
  readonly beyond: "keep" | "remove";
  /** What no backup has, below the root. */
  readonly excluded: RawPathSet;
}

/** What is to be done, top down, by what is there now. @throws target-unsafe where a link, or another file system, is on the way */
export function* planPaths(plan: PathsToPlan): Generator<PathAct, void, undefined> {
  const { root, staged, beyond } = plan;
  const isThere = readInode(root) !== undefined;
  if (staged !== undefined && !isThere) yield { act: "place", path: Buffer.alloc(0), replaces: "nothing" };
  else if (staged !== undefined) yield* planDirectory(plan, staged, Buffer.alloc(0));
  if (beyond === "remove" && isThere) yield* planRemovals(plan);
}

function* planDirectory(plan: PathsToPlan, staged: string, path: Buffer): Generator<PathAct, void, undefined> {
  const { root, selection } = plan;
  for (const name of readdirSync(joinPath(staged, path), { encoding: "buffer" }).sort((one, other) => Buffer.compare(one, other))) {
    const inner = joinPath(path, name);
    const isDirectory = lstatSync(joinPath(staged, inner)).isDirectory();
    const present = lstatSync(joinPath(root, inner), { throwIfNoEntry: false });
    if (present === undefined) yield { act: "place", path: inner, replaces: "nothing" };
    else if (isDirectory && present.isDirectory()) {
      assertWay(root, joinPath(inner, "x"));
      yield* planDirectory(plan, staged, inner);
      if (selection.has(inner)) yield { act: "attributes", path: inner };
    } else if (selection.has(inner)) yield { act: "place", path: inner, replaces: "something" };
    else throw createWayError(joinPath(root, inner));
  }
}

/** What is chosen and not in the backup: the topmost of it, but nothing with something in it that backups leave out. */
function* planRemovals({ root, staged, selection, excluded }: PathsToPlan): Generator<PathAct, void, undefined> {
  const removed = new RawPathSet();
  const rules = {
    enter: ({ path }: { readonly path: Buffer }) => !removed.has(path) && !excluded.has(path),
    unreadable: () => undefined,
  };
  const acts: PathAct[] = [];
  for (const { path } of walkTree(root, rules)) {
    if (path.length === 0 || !selection.has(path) || excluded.has(path) || excluded.hasBelow(path)) continue;
    // What replaces something of another type takes all of it.
    if (staged !== undefined && (readInode(joinPath(staged, path)) !== undefined || isReplacedAbove(staged, path))) continue;
    removed.add(path);
    acts.push({ act: "remove", path });
  }
  yield* acts;
}

/** Every directory above must be one, of the root's own file system. @throws target-unsafe */
export function assertWay(root: string, path: Buffer): void {
  if (path.length === 0) return;
  const device = lstatSync(root).dev;
  for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
    const above = joinPath(root, path.subarray(0, slash));
    const stat = lstatSync(above, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isDirectory()) throw createWayError(above);
    if (stat.dev !== device) throw createMountError(above);
  }
}

/** File systems of the same device (bind mounts) show in no stat. @throws target-unsafe */
export function assertNoMount(root: string, acts: readonly PathAct[]): void {
  const mounts = listMountPoints(Buffer.from(root)).filter((mount) => !mount.equals(Buffer.from(root)));
  for (const mount of mounts) {
    const concerned = acts.find(({ path }) => {
      const place = joinPath(root, path);
      return place.equals(mount) || isBelow(place, mount) || isBelow(mount, place);
    });
    if (concerned !== undefined && concerned.act !== "attributes") throw createMountError(mount);
  }
}

function createMountError(path: Buffer): HoldfastError {
  return new HoldfastError("target-unsafe", `Cannot restore at ${escapePath(path)}: another file system is mounted there`, {
    hint: "Unmount it for the restore.",
  });
}

function createWayError(path: Buffer): HoldfastError {
  return new HoldfastError(
    "target-unsafe",
    `Cannot restore below ${escapePath(path)}: it is a link, or no directory, and was a directory in the backup`,
    { hint: "Move it away, or choose it, too, with a --path of its own: then it is replaced." },
  );
}

function isReplacedAbove(staged: string, path: Buffer): boolean {
  for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
    const stat = lstatSync(joinPath(staged, path.subarray(0, slash)), { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isDirectory()) return true;
  }
  return false;
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  return path.length > directory.length && path[directory.length] === 0x2f && path.subarray(0, directory.length).equals(directory);
}
