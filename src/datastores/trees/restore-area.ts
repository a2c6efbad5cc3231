import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { createId } from "../../base/ids.ts";
import type { RestoreOptions, SwapStep } from "../contract.ts";
import { makeMissing, readInode } from "./swap-steps.ts";

/** A private directory on the target's file system, where a restore is staged and what it replaces is put aside. */
export interface RestoreArea {
  readonly path: string;
  /** Directories that the target lacks, outermost first; made by the swap. */
  readonly missing: readonly string[];
}

/**
 * Makes an area in a directory, or in the nearest one above it that is there. Mode 0700; never one that was there before.
 * It is recorded first, so that a roll-back finds it even if nothing is ever swapped.
 */
export async function makeArea(directory: string, record: RestoreOptions["record"]): Promise<RestoreArea> {
  const missing: string[] = [];
  let parent = directory;
  while (readInode(parent) === undefined && parent !== dirname(parent)) {
    missing.unshift(parent);
    parent = dirname(parent);
  }
  if (!lstatSync(parent).isDirectory() || realpathSync(parent) !== parent) {
    throw new HoldfastError("target-unsafe", `Cannot restore to ${directory}: ${parent} is a link or no directory`, {
      hint: "Name the place without symbolic links.",
    });
  }
  const path = join(parent, `.holdfast-${createId(Date.now())}`);
  await record?.({ op: "area", area: path });
  mkdirSync(path, 0o700);
  return { path, missing };
}

/** The directory itself, or the nearest one above it that is there. */
export function findExisting(directory: string): string {
  let place = directory;
  while (readInode(place) === undefined && place !== dirname(place)) place = dirname(place);
  return place;
}

/** Records the area itself, so that a roll-back finds it, then makes what the target lacks. */
export async function beginSwap(area: RestoreArea, record: (step: SwapStep) => Promise<void>): Promise<void> {
  await record({ op: "area", area: area.path });
  for (const directory of area.missing) if (readInode(directory) === undefined) await makeMissing(directory, area.path, record);
}
