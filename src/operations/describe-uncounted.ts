import type { ManifestMember } from "../archive/manifest.ts";
import type { Note } from "../base/note.ts";

const prefix = "rows.";
const shown = 10;

/** The tables whose rows were counted when a member was backed up or verified, as their driver names them. */
export function listTables({ contents }: Pick<ManifestMember, "contents">): readonly string[] {
  return Object.keys(contents?.counts ?? {}).flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
}

/**
 * Tables that were named and not counted. That is no proof: of a partitioned table the partitions are counted, and a config may have only some
 * tables counted. Says nothing of a backup in which no table was counted.
 */
export function describeUncounted(member: Pick<ManifestMember, "contents">, tables: readonly string[] | undefined): readonly Note[] {
  const counted = listTables(member);
  if (tables === undefined || counted.length === 0) return [];
  const unquote = (name: string): string => name.replaceAll('"', "");
  const names = counted.map(unquote);
  const missing = tables.filter((table) => !names.some((name) => name === unquote(table) || name.endsWith(`.${unquote(table)}`)));
  if (missing.length === 0) return [];
  const some = `${counted.slice(0, shown).join(", ")}${counted.length > shown ? ` and ${counted.length - shown} more` : ""}`;
  const message = `The backup tells of no rows of ${missing.join(", ")}, but of ${some}: the restore of a table that it does not have is refused`;
  return [{ level: "warning", code: "table-not-counted", message }];
}
