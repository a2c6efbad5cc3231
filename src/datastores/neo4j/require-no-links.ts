import { lstatSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { walkTree } from "../trees/walk-tree.ts";

/**
 * A copy of a link is a link: it lacks what that leads to, and whoever works on the copy works on the original. What is not there passes.
 * @throws HoldfastError with `code`, naming the first link among the places and all that is below them
 */
export function requireNoLinks(places: readonly string[], what: string, code: "source-unreadable" | "backup-damaged"): void {
  for (const place of places) {
    const stat = lstatSync(place, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (stat.isSymbolicLink()) throw createLinkError(place, what, code);
    if (!stat.isDirectory()) continue;
    for (const entry of walkTree(place, { enter: () => true, unreadable: () => undefined }))
      if (entry.stat.isSymbolicLink()) throw createLinkError(join(place, entry.path.toString()), what, code);
  }
}

function createLinkError(path: string, what: string, code: "source-unreadable" | "backup-damaged"): HoldfastError {
  const hint =
    code === "backup-damaged"
      ? "Restore another backup."
      : "Move the files back, or name the directory in which they are as `data`; another disk can be mounted on the place.";
  return new HoldfastError(code, `${what}: ${path} is a link, and what it leads to is not in the copy`, { hint });
}
