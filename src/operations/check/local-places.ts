import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { DatastoreConfig, DestinationConfig } from "../../config/config.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";

/** The directory of a destination on this machine; undefined for one that is elsewhere. */
export function findLocalPath({ options }: Pick<DestinationConfig, "options">): string | undefined {
  const path = readField(options, "path");
  return typeof path === "string" && path.startsWith("/") ? path : undefined;
}

/** Paths that a datastore reads or replaces; none for one that is no file. */
export function listSourcePaths({ kind, options }: Pick<DatastoreConfig, "kind" | "options">): readonly string[] {
  return findDatastoreDriver(kind).configure(options).sourcePaths;
}

export function readField(options: unknown, key: string): unknown {
  return typeof options === "object" && options !== null && Object.hasOwn(options, key)
    ? (options as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

/** Resolves links as far as the path is there. */
export function resolveReal(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === dirname(path) ? path : join(resolveReal(dirname(path)), basename(path));
  }
}

/** Whether two paths are one file or directory: by a link, a hard link, or a mount. What cannot be looked at is not. */
export function isSameFile(one: string, other: string): boolean {
  try {
    const [left, right] = [statSync(one, { bigint: true }), statSync(other, { bigint: true })];
    return left.ino === right.ino && left.dev === right.dev;
  } catch {
    return false;
  }
}

export function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
