import { z } from "zod";
import type { Note } from "../../base/note.ts";
import type { Access } from "./connection.ts";
import { formatTableKey } from "./dump-contents.ts";
import { matchesPattern, quotePattern } from "./entry-names.ts";
import type { PostgresqlOptions } from "./options.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";

/** What the options' patterns mean in one database, as it is now. */
export interface DumpSelection {
  /** For pg_dump: names, and those patterns that it is to resolve itself. */
  readonly tables: readonly string[];
  readonly notes: readonly Note[];
}

/** Asks the database of `access` where something depends on what is in it. */
export async function readSelection(options: PostgresqlOptions, access: Access, psql: string, signal: AbortSignal): Promise<DumpSelection> {
  const { tables, excludeTables, excludeTableData } = options;
  const without = [...excludeTables, ...(options.schemaOnly ? [] : excludeTableData)];
  if (tables.length + without.length === 0) return { tables: [], notes: [] };
  await using session = await openSession(access, { psql }, signal);
  return {
    tables: tables.length === 0 ? [] : await resolveTables(session, tables),
    notes: without.length === 0 || options.dataOnly ? [] : await describeDangling(session, options, without),
  };
}

const named = z.object({ schema: z.string(), table: z.string() });
const relationRow = named.extend({ parents: z.array(named) });
const notOurs = (column: string): string => `${column} !~ '^(pg_|holdfast_(undo|aside)_[0-9a-f]+$)' AND ${column} <> 'information_schema'`;

/**
 * pg_dump looks for a name without a schema in the role's search_path only, and takes a partitioned table for its definition alone. What it
 * is told here is every table of that name, and the partitions. A pattern that fits nothing is left to pg_dump, which fails then.
 */
async function resolveTables(session: SqlSession, patterns: readonly string[]): Promise<readonly string[]> {
  const relations = await selectRows(
    session,
    `SELECT n.nspname AS schema, c.relname AS "table",
       coalesce((WITH RECURSIVE up (oid) AS (
           SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition
           UNION ALL SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid)
         SELECT json_agg(json_build_object('schema', pn.nspname, 'table', p.relname)) FROM up JOIN pg_class p ON p.oid = up.oid
           JOIN pg_namespace pn ON pn.oid = p.relnamespace), '[]') AS parents
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND ${notOurs("n.nspname")} ORDER BY 1, 2`,
    relationRow,
  );
  const chosen = patterns.flatMap((pattern) => {
    const found = pattern.includes('"') ? [] : relations.filter((each) => [each, ...each.parents].some((name) => isMeant(name, [pattern])));
    return found.length === 0 ? [quotePattern(pattern)] : found.map(quoteTable);
  });
  return [...new Set(chosen)];
}

function isMeant({ schema, table }: TableName, patterns: readonly string[]): boolean {
  return matchesPattern(table, patterns) || matchesPattern(`${schema}.${table}`, patterns);
}

const keyRow = named.extend({ name: z.string(), toSchema: z.string(), toTable: z.string() });

/** A foreign key into rows that are not there is made by no restore. */
async function describeDangling(session: SqlSession, options: PostgresqlOptions, without: readonly string[]): Promise<readonly Note[]> {
  const keys = await selectRows(
    session,
    `SELECT n.nspname AS schema, c.relname AS "table", f.conname AS name, rn.nspname AS "toSchema", r.relname AS "toTable"
     FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_class r ON r.oid = f.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
     WHERE f.contype = 'f' AND r.relkind = 'r' AND ${notOurs("n.nspname")} ORDER BY 1, 2, 3`,
    keyRow,
  );
  const dangling = keys.filter(
    ({ toSchema, toTable, ...own }) =>
      isMeant({ schema: toSchema, table: toTable }, without) &&
      !isMeant(own, without) &&
      (options.tables.length === 0 || isMeant(own, options.tables)) &&
      (options.schemas.length === 0 || matchesPattern(own.schema, options.schemas)) &&
      !matchesPattern(own.schema, options.excludeSchemas),
  );
  return dangling.map(({ schema, table, name, toSchema, toTable }) => {
    const [from, to] = [formatTableKey(schema, table), formatTableKey(toSchema, toTable)];
    const message = `Rows of ${from} refer to ${to} (${name}), whose rows are left out: a whole database cannot be restored from that, only single tables. Leave out the rows of both, or of neither`;
    return { level: "warning", code: "foreign-key-left-out", message };
  });
}
