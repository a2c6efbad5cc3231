import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { resolvePath } from "../trees/resolve-path.ts";
import type { TreeTarget } from "../trees/restore-tree.ts";
import { findDirectory } from "../volume.ts";
import type { Neo4jOptions } from "./options.ts";
import { ArchiveRestore } from "./restore-archive.ts";
import { DatabaseRestore } from "./restore-database.ts";
import { DumpToDirectory } from "./restore-directory.ts";

/** @throws refused for parts: a graph is replaced as a whole */
export async function openNeo4jRestore(
  options: Neo4jOptions,
  target: RestoreTarget,
  restoring: RestoreOptions,
  context: DriverContext,
  signal: AbortSignal,
): Promise<RestoreSession> {
  if (restoring.parts !== undefined)
    throw new HoldfastError("refused", `Cannot restore "${context.name}": a graph has no parts, it is replaced as a whole`);
  if (target.kind !== "original")
    return options.method === "archive"
      ? new ArchiveRestore(options, { ...describeTree(resolvePath(target.path), context), below: true }, restoring, context)
      : new DumpToDirectory(options, target.path, restoring, context);
  const { path, root } = await findDirectory(options.data, signal);
  if (options.method !== "archive") return new DatabaseRestore(options, path, restoring, context);
  const tree = { ...describeTree(path, context), ...(root === "stays" ? { keeps: "root" as const } : {}) };
  return new ArchiveRestore(options, tree, restoring, context);
}

function describeTree(root: string, { stagingDir, progress }: DriverContext): TreeTarget {
  return { root, below: false, exclude: [], oneFileSystem: true, special: { devices: false, setId: false }, stagingDir, progress };
}
