import type { CountRequest } from "./child-protocol.ts";
import { listTables, quoteName } from "../sqlite-files/integrity.ts";
import { openDatabase } from "../sqlite-files/open-database.ts";

/**
 * Rows per table of a live database, each counted by a statement of its own: no writer waits longer than for one table. Throws where a table
 * cannot be counted; then nothing is known.
 */
export function countLive({ path, busyTimeoutMs }: Omit<CountRequest, "op">): Readonly<Record<string, number>> {
  const database = openDatabase(path, busyTimeoutMs);
  try {
    database.pragma("query_only = on");
    return Object.fromEntries(
      listTables(database).map((name) => [
        `rows.${name}`,
        Number(
          database
            .prepare(`select count(*) from main.${quoteName(name)}`)
            .pluck()
            .get(),
        ),
      ]),
    );
  } finally {
    database.close();
  }
}
