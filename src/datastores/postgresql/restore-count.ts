import { z } from "zod";
import { formatTableKey, type DatabaseContents } from "./dump-contents.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";

const tableRow = z.object({ schema: z.string(), table: z.string(), condition: z.string() });

/** Tables whose rows a dump holds. Of an extension's tables a dump has only those rows that the extension does not make itself. */
const tablesSql = `
  SELECT n.nspname AS schema, c.relname AS "table", '' AS condition
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  UNION ALL
  SELECT n.nspname, c.relname, coalesce(config.condition, '')
  FROM pg_catalog.pg_extension e, ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS config(oid, condition),
    pg_catalog.pg_class c, pg_catalog.pg_namespace n
  WHERE c.oid = config.oid AND c.relkind = 'r' AND n.oid = c.relnamespace
  ORDER BY 1, 2`;

/** The rows of every table, by the keys of a manifest, and the large objects. Fails rather than counting what row security lets it see. */
export async function countRows(session: SqlSession): Promise<Pick<DatabaseContents, "rows" | "largeObjects">> {
  const rows = new Map<string, number>();
  await session.query("SET row_security = off");
  const count = async (from: string): Promise<number> => {
    const [found] = await session.query(`SELECT count(*)::text AS n FROM ${from}`);
    return Number(found?.["n"] ?? 0);
  };
  for (const each of await selectRows(session, tablesSql, tableRow))
    rows.set(formatTableKey(each.schema, each.table), await count(`ONLY ${quoteTable(each)} ${each.condition}`));
  return { rows, largeObjects: await count("pg_catalog.pg_largeobject_metadata") };
}

/** The rows of one table, without those of tables that inherit from it. */
export async function countTable(session: SqlSession, table: TableName): Promise<number> {
  const [found] = await session.query(`SELECT count(*)::text AS n FROM ONLY ${quoteTable(table)}`);
  return Number(found?.["n"]);
}
