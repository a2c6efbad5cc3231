import { z } from "zod";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";

/** Statements that take away, for one transaction, what would act on rows that are replaced; and those that bring all of it back. */
export interface Guard {
  readonly suspend: readonly string[];
  readonly resume: readonly string[];
}

const tableFields = { schema: z.string(), table: z.string() };
const keyRow = z.object({ ...tableFields, name: z.string(), definition: z.string(), comment: z.string().nullable() });
const namedRow = z.object({ ...tableFields, name: z.string(), enabled: z.string() });
const tableRow = z.object(tableFields);

const withTable = (relation: string): string => `JOIN pg_class r ON r.oid = ${relation} JOIN pg_namespace n ON n.oid = r.relnamespace`;
const tableColumns = 'n.nspname AS schema, r.relname AS "table"';

// A key of a partition is its partitioned table's, and only that can be dropped.
const keysSql = (oids: string): string => `
  WITH RECURSIVE touching AS (
    SELECT oid, conparentid FROM pg_constraint WHERE contype = 'f' AND (conrelid = ANY (${oids}) OR confrelid = ANY (${oids}))
    UNION SELECT p.oid, p.conparentid FROM pg_constraint p JOIN touching t ON p.oid = t.conparentid
  )
  SELECT ${tableColumns}, c.conname AS name, pg_get_constraintdef(c.oid) AS definition, obj_description(c.oid, 'pg_constraint') AS comment
  FROM touching JOIN pg_constraint c USING (oid) ${withTable("c.conrelid")} WHERE touching.conparentid = 0 ORDER BY 1, 2, 3`;

const triggersSql = (oids: string): string => `
  SELECT ${tableColumns}, t.tgname AS name, t.tgenabled::text AS enabled FROM pg_trigger t ${withTable("t.tgrelid")}
  WHERE t.tgrelid = ANY (${oids}) AND NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1, 2, 3`;

const rulesSql = (oids: string): string => `
  SELECT ${tableColumns}, w.rulename AS name, w.ev_enabled::text AS enabled FROM pg_rewrite w ${withTable("w.ev_class")}
  WHERE w.ev_class = ANY (${oids}) AND w.ev_enabled <> 'D' ORDER BY 1, 2, 3`;

const forcedSql = (oids: string): string =>
  `SELECT ${tableColumns} FROM pg_class f ${withTable("f.oid")} WHERE f.oid = ANY (${oids}) AND f.relforcerowsecurity ORDER BY 1, 2`;

const enableWords: Readonly<Record<string, string>> = { O: "ENABLE", R: "ENABLE REPLICA", A: "ENABLE ALWAYS" };

/**
 * Foreign keys from and to the tables are dropped and made again, which compares all rows: a key that the new rows break is an error.
 * Triggers, rules and forced row security of the tables do not act. Needs the tables' owner.
 */
export async function planGuard(session: SqlSession, tables: readonly TableName[]): Promise<Guard> {
  const oids = listOids(tables);
  const keys = await selectRows(session, keysSql(oids), keyRow);
  const triggers = await selectRows(session, triggersSql(oids), namedRow);
  const rules = await selectRows(session, rulesSql(oids), namedRow);
  const forced = await selectRows(session, forcedSql(oids), tableRow);
  const suspend: string[] = [];
  const resume: string[] = [];
  for (const key of keys) {
    const alter = `ALTER TABLE ${quoteTable(key)}`;
    suspend.push(`${alter} DROP CONSTRAINT ${quoteName(key.name)}`);
    resume.push(`${alter} ADD CONSTRAINT ${quoteName(key.name)} ${key.definition}`);
    if (key.comment !== null)
      resume.push(`COMMENT ON CONSTRAINT ${quoteName(key.name)} ON ${quoteTable(key)} IS ${quoteLiteral(key.comment)}`);
  }
  const switchAll = (found: readonly z.output<typeof namedRow>[], what: string): void => {
    for (const each of found) {
      const alter = `ALTER TABLE ONLY ${quoteTable(each)}`;
      suspend.push(`${alter} DISABLE ${what} ${quoteName(each.name)}`);
      resume.push(`${alter} ${enableWords[each.enabled] ?? "ENABLE"} ${what} ${quoteName(each.name)}`);
    }
  };
  switchAll(triggers, "TRIGGER");
  switchAll(rules, "RULE");
  for (const table of forced) {
    suspend.push(`ALTER TABLE ${quoteTable(table)} NO FORCE ROW LEVEL SECURITY`);
    resume.push(`ALTER TABLE ${quoteTable(table)} FORCE ROW LEVEL SECURITY`);
  }
  return { suspend, resume };
}

/** As SQL: an array of the tables' oids. */
export function listOids(tables: readonly TableName[]): string {
  return `ARRAY[${tables.map((table) => `${quoteLiteral(quoteTable(table))}::regclass::oid`).join(", ")}]::oid[]`;
}
