import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import type { SavedMember } from "../contract.ts";
import { formatTableKey } from "./dump-contents.ts";
import { findDatabase } from "./entry-names.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";

const namedObjects = "largeObjects.";

/** The databases that a backup holds: its counts name them where they are several, else its entry tells the one. */
export function listSavedDatabases({ contents, entries }: SavedMember): ReadonlySet<string> {
  const named = Object.keys(contents.counts).filter((key) => key.startsWith(namedObjects));
  if (named.length > 0) return new Set(named.map((key) => key.slice(namedObjects.length)));
  return new Set(entries.flatMap(({ sourcePath }) => findDatabase(sourcePath) ?? []));
}

/**
 * A table whose rows the backups leave out has none of them in the backup of what is there now either.
 * @throws target-unsafe for tables that have rows, of which none have been saved
 */
export async function assertTablesSaved(
  session: SqlSession,
  saved: SavedMember,
  database: string,
  tables: readonly TableName[],
): Promise<void> {
  const isHeld = saved.status !== "absent" && listSavedDatabases(saved).has(database);
  const prefixes = ["rows.", `rows.${/[."]/.test(database) ? `"${database.replaceAll('"', '""')}"` : database}.`];
  const unsaved: string[] = [];
  // A policy that hides rows is an error then.
  await session.query("SET row_security = off");
  for (const table of tables) {
    const key = formatTableKey(table.schema, table.table);
    if (isHeld && prefixes.some((prefix) => (saved.contents.counts[prefix + key] ?? 0) > 0)) continue;
    const [found] = await selectRows(
      session,
      `SELECT EXISTS (SELECT FROM ONLY ${quoteTable(table)}) AS filled`,
      z.object({ filled: z.boolean() }),
    );
    if (found?.filled !== false) unsaved.push(key);
  }
  if (unsaved.length === 0) return;
  throw new HoldfastError(
    "target-unsafe",
    `${unsaved.slice(0, 5).join(", ")} ${unsaved.length === 1 ? "has" : "have"} rows in ${database}, and the backup that was made of it just now has none of them: they would be lost`,
    {
      hint: "The datastore leaves them out (tables, schemas, excludeTables, excludeTableData, schemaOnly): let it back them up, or empty the tables first, then restore again.",
    },
  );
}
