import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { formatTableKey } from "./dump-contents.ts";
import { quoteLiteral } from "./quote-sql.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import type { ExportRecord, SequenceRecord, TableRecord } from "./sqlite-metadata.ts";
import type { TargetTable } from "./sqlite-swap.ts";

export interface ImportTable {
  readonly source: TableRecord;
  readonly target: TargetTable;
  /** Those of the export that are written. */
  readonly columns: TableRecord["columns"];
}

export interface Chosen {
  readonly tables: readonly TableRecord[];
  readonly sequences: readonly SequenceRecord[];
}

/** What a restore from an export writes, and into what. */
export interface Import {
  readonly tables: readonly ImportTable[];
  readonly sequences: readonly SequenceRecord[];
}

/**
 * The tables that `parts` names, or all: `table`, `schema.table`, or a partitioned table, which means all of its partitions.
 * @throws unknown-name for a name that the export does not have, or has in several schemas
 */
export function chooseTables({ tables, sequences }: ExportRecord, parts: readonly string[] | undefined): Chosen {
  if (parts === undefined) return { tables, sequences };
  const chosen = new Set<TableRecord>();
  for (const part of parts) {
    const isNamed = (each: TableRecord): boolean =>
      [formatTableKey(each.schema, each.table), `${each.schema}.${each.table}`, ...each.partitionOf].includes(part);
    let found = tables.filter(isNamed);
    if (found.length === 0)
      found = tables.filter((each) => each.table === part || each.partitionOf.includes(formatTableKey("public", part)));
    // Its partitions' rows are a partitioned table's, which is another one than a table of that name elsewhere.
    const whole = formatTableKey("public", part);
    const meant = new Set(
      found.flatMap((each) =>
        each.partitionOf.includes(whole) ? [whole] : each.table === part ? [formatTableKey(each.schema, part)] : [],
      ),
    );
    const isAmbiguous = meant.size > 1;
    if (found.length === 0 || isAmbiguous) {
      const names = isAmbiguous ? [...meant] : tables.map(({ schema, table }) => formatTableKey(schema, table));
      throw new HoldfastError("unknown-name", `the export has ${isAmbiguous ? "several tables" : "no table"} ${JSON.stringify(part)}`, {
        hint: `Name one of: ${names.slice(0, 20).join(", ")}${names.length > 20 ? ", …" : ""}.`,
      });
    }
    for (const table of found) chosen.add(table);
  }
  const keys = new Set([...chosen].flatMap(({ schema, table, partitionOf }) => [formatTableKey(schema, table), ...partitionOf]));
  return {
    tables: [...chosen],
    sequences: sequences.filter(({ owner }) => owner !== null && keys.has(formatTableKey(owner.schema, owner.table))),
  };
}

const columnRow = z.object({
  schema: z.string(),
  table: z.string(),
  kind: z.string(),
  name: z.string().nullable(),
  isGenerated: z.boolean(),
  isNeeded: z.boolean(),
});

const targetsSql = `
  SELECT n.nspname AS schema, c.relname AS "table", c.relkind::text AS kind, a.attname AS name, coalesce(a.attgenerated <> '', false) AS "isGenerated",
    coalesce(a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', false) AS "isNeeded"
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname, c.relname) IN ($names) ORDER BY n.nspname, c.relname, a.attnum`;

/**
 * Finds the tables in the database as it is now. Values are not looked at: the server refuses those that do not fit.
 * @throws refused, with every table and column that does not fit
 */
export async function matchTables(session: SqlSession, { head }: ExportRecord, chosen: Chosen): Promise<Import> {
  const names = chosen.tables.map(({ schema, table }) => `(${quoteLiteral(schema)}, ${quoteLiteral(table)})`).join(", ");
  const rows =
    names === ""
      ? []
      : await selectRows(
          session,
          targetsSql.replace("$names", () => names),
          columnRow,
        );
  const byTable = Map.groupBy(rows, ({ schema, table }) => formatTableKey(schema, table));
  const problems: string[] = [];
  const tables = chosen.tables.map((source): ImportTable => {
    const { schema, table } = source;
    const key = formatTableKey(schema, table);
    const found = byTable.get(key) ?? [];
    problems.push(...findProblems(key, source, found));
    const writable = new Set(found.flatMap(({ name, isGenerated }) => (name === null || isGenerated ? [] : [name])));
    const columns = source.columns.filter(({ column, generated }) => !generated && writable.has(column));
    return { source, target: { schema, table, columns: [...writable] }, columns };
  });
  problems.push(...(await findMissingSequences(session, chosen.sequences)));
  if (problems.length > 0) {
    throw new HoldfastError("refused", `the database is not as it was when it was exported: ${problems.join("; ")}`, {
      hint: `Bring its tables to the state of ${head.madeAt} with the application's migrations, or restore the other tables alone; nothing was changed.`,
    });
  }
  return { tables, sequences: chosen.sequences };
}

function* findProblems(key: string, source: TableRecord, found: readonly z.output<typeof columnRow>[]): Generator<string> {
  if (found.length === 0) {
    yield `there is no table ${key}`;
    return;
  }
  if (found[0]?.kind !== "r") {
    yield `${key} is no plain table any more`;
    return;
  }
  const columns = new Map(found.map((each) => [each.name, each]));
  for (const { column, generated } of source.columns) {
    const present = columns.get(column);
    if (generated) continue;
    if (present === undefined) yield `${key} has no column ${column}`;
    else if (present.isGenerated) yield `${key} computes its column ${column}`;
  }
  const known = new Set(source.columns.map(({ column }) => column));
  for (const { name, isNeeded } of found)
    if (name !== null && isNeeded && !known.has(name)) yield `${key} has a new column ${name} that must have a value`;
}

async function findMissingSequences(session: SqlSession, sequences: readonly SequenceRecord[]): Promise<readonly string[]> {
  if (sequences.length === 0) return [];
  const sql = `SELECT n.nspname AS schema, c.relname AS sequence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'`;
  const there = await selectRows(session, sql, z.object({ schema: z.string(), sequence: z.string() }));
  const keys = new Set(there.map(({ schema, sequence }) => formatTableKey(schema, sequence)));
  return sequences.flatMap(({ schema, sequence }) => {
    const key = formatTableKey(schema, sequence);
    return keys.has(key) ? [] : [`there is no sequence ${key}`];
  });
}
