import type { Note } from "../../base/note.ts";
import type { DatabaseContents } from "./dump-contents.ts";

/** Every server has them, and hardly anybody puts anything into them. */
const ownDatabases: ReadonlySet<string | undefined> = new Set(["postgres", "template1"]);

/** Databases in which there is nothing to lose: that they are backed up is probably not what was meant. */
export function describeEmpty(databases: readonly Pick<DatabaseContents, "database" | "rows" | "largeObjects">[]): readonly Note[] {
  const empty = databases.filter(({ rows, largeObjects }) => rows.size === 0 && largeObjects === 0);
  if (empty.length > 1 && empty.length === databases.length) return [warn(`None of the ${empty.length} databases has a table`)];
  return empty
    .filter(({ database }) => databases.length === 1 || !ownDatabases.has(database))
    .map(({ database }) => warn(`The database${database === undefined ? "" : ` "${database}"`} has no tables`));
}

function warn(message: string): Note {
  return { level: "warning", code: "empty", message };
}
