import type Database from "better-sqlite3";
import { HoldfastError } from "../../base/errors.ts";
import { attempt, quoteName } from "../sqlite-files/integrity.ts";
import { listReferring, type Schema } from "./table-set.ts";

/** How often each broken reference stands there: table, row, the table it refers to, which of its foreign keys. */
export type Violations = ReadonlyMap<string, number>;

interface Violation {
  readonly table: string;
  readonly rowid: number | null;
  readonly parent: string;
  readonly fkid: number;
}

/** Of the tables, and in `main` of those that refer to them. A foreign key that cannot be checked at all counts as one. */
export function readViolations(database: Database.Database, tables: readonly string[], schema: Schema): Violations {
  const found = new Map<string, number>();
  const add = (violation: Violation): void => {
    const key = JSON.stringify([violation.table, violation.rowid, violation.parent, violation.fkid]);
    found.set(key, (found.get(key) ?? 0) + 1);
  };
  const referring = schema === "main" ? listReferring(database, tables) : [];
  for (const table of new Set([...tables, ...referring])) {
    const checked = attempt(() => database.pragma(`${schema}.foreign_key_check(${quoteName(table)})`) as Violation[]);
    if (checked.ok) checked.value.forEach(add);
    else if (database.prepare(`select 1 from ${schema}.sqlite_schema where name = ? collate nocase`).get(table) !== undefined)
      add({ table, rowid: null, parent: "a table that it cannot refer to", fkid: -1 });
  }
  return found;
}

/** What the replaced tables have broken, that neither was broken before nor is in the backup. */
export function findNewViolations(
  database: Database.Database,
  tables: readonly string[],
  before: Violations,
  inBackup: Violations,
): HoldfastError | undefined {
  const broken = new Map<string, number>();
  for (const [key, count] of readViolations(database, tables, "main")) {
    const [table, , parent] = JSON.parse(key) as [string, unknown, string];
    const added = count - Math.max(before.get(key) ?? 0, inBackup.get(key) ?? 0);
    if (added > 0) broken.set(`${table} to ${parent}`, (broken.get(`${table} to ${parent}`) ?? 0) + added);
  }
  if (broken.size === 0) return undefined;
  const list = [...broken].map(([pair, count]) => `${count} of ${pair}`).join(", ");
  return new HoldfastError("restore-failed", `references between tables would be broken: ${list}`, {
    hint: "Restore the tables that belong together at once, with one --table for each, or all of the database.",
  });
}
