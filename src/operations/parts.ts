import { HoldfastError } from "../base/errors.ts";
import type { RestoreOptions } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { Held } from "./choose-members.ts";

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

const nouns = { tables: "table", paths: "path" } as const;
const options = { tables: "--table", paths: "--path" } as const;

/** Refuses parts where a restore of them alone cannot be meant or made. @throws usage */
export function assertParts(members: readonly Held[], request: PartsRequest): void {
  const { tables, paths } = request;
  if (tables === undefined && paths === undefined) return;
  if (tables !== undefined && paths !== undefined)
    throw new HoldfastError("usage", "Either tables are restored or paths, not both", { hint: "Say --table, or --path." });
  const wanted = tables === undefined ? "paths" : "tables";
  const [member] = members;
  if (member === undefined || members.length > 1) {
    throw new HoldfastError("usage", `Single ${wanted} are restored of one datastore, and the backup has ${members.length}`, {
      hint: `Say which: ${members.map(({ datastore }) => `--only ${datastore}`).join(", or ")}.`,
    });
  }
  const able = findDatastoreDriver(member.kind).parts;
  if (able !== wanted) {
    throw new HoldfastError(
      "usage",
      `Of "${member.datastore}" no single ${nouns[wanted]} can be restored: it is of the kind ${member.kind}`,
      {
        hint:
          able === undefined
            ? "Restore all of it; or take over what is needed from a copy: `holdfast extract`."
            : `Of this kind single ${able} can be: ${options[able]}.`,
      },
    );
  }
  if (member.status === "absent") throw new HoldfastError("usage", `"${member.datastore}" was not there when the backup was made`);
}
