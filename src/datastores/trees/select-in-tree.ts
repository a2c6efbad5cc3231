import type { StoredEntry, TreeSelection } from "../contract.ts";
import { filterTree, findMembers } from "./filter-tree.ts";
import { escapeGlob } from "../../base/glob.ts";
import { selectPaths } from "../../base/path-selection.ts";

/** What a path or glob means in a stored tree. Device nodes and set-id bits are left out. */
export async function selectInTree(entry: StoredEntry, path: string, signal: AbortSignal): Promise<TreeSelection> {
  const named = await findMembers(entry, selectPaths([escapeGlob(path)], entry.sourcePath), signal);
  const isNamed = named.wanted.size + named.directories.size > 0;
  const selection = selectPaths([path], entry.sourcePath);
  const found = isNamed ? named : await findMembers(entry, selection, signal);
  const plain = [...found.wanted].filter(([key, { type }]) => found.chosen.has(key) && (type === "file" || type === "hardlink"));
  return {
    files: plain.length,
    others: found.chosen.size - plain.length + found.directories.size,
    byName: isNamed,
    open: (inner) => filterTree(entry, found, { devices: false, setId: false }, inner).pieces,
  };
}
