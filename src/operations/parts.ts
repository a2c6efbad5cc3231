import type { RestoreOptions } from "../datastores/contract.ts";

/** What of the one datastore a restore takes, the rest untouched; all of it where neither is given. */
export interface PartsRequest {
  readonly tables?: readonly string[];
  /** Paths and globs below where a datastore of files lies. */
  readonly paths?: readonly string[];
}

interface CopiedParts {
  readonly tables?: string[];
  readonly paths?: string[];
}

/** Only what is given, for queries, payloads and records. */
export function pickParts({
  tables,
  paths,
}: {
  readonly tables?: readonly string[] | undefined;
  readonly paths?: readonly string[] | undefined;
}): CopiedParts {
  return { ...(tables === undefined ? {} : { tables: [...tables] }), ...(paths === undefined ? {} : { paths: [...paths] }) };
}

/**
 * As drivers are given them. A backup that was made before a restore says how things were: what it does not have was not there, so what is
 * chosen and not in it goes. Any other backup may be older than what has come since, which stays.
 */
export function describeRestoring(
  parts: readonly string[] | undefined,
  backupClass: "backup" | "pre-restore",
): Pick<RestoreOptions, "parts" | "beyond"> {
  return parts === undefined ? {} : { parts, beyond: backupClass === "pre-restore" ? "remove" : "keep" };
}

export function listParts({ tables, paths }: PartsRequest): readonly string[] | undefined {
  return tables ?? paths;
}

/** For people: "tables a, b". */
export function describeParts({
  tables,
  paths,
}: {
  readonly tables?: readonly string[] | null;
  readonly paths?: readonly string[] | null;
}): string | undefined {
  if (tables !== undefined && tables !== null) return `tables ${tables.join(", ")}`;
  return paths === undefined || paths === null ? undefined : `paths ${paths.join(", ")}`;
}
