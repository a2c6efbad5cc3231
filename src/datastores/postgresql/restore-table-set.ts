import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { formatTableKey } from "./dump-contents.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { quoteLiteral } from "./quote-sql.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";

const tableRow = z.object({
  schema: z.string(),
  table: z.string(),
  /** Partitioned tables that it is a part of. */
  ancestors: z.array(z.object({ schema: z.string(), table: z.string() })),
  /** Those that rows are written with: no generated ones. */
  columns: z.array(z.object({ name: z.string(), type: z.string(), generated: z.boolean() })),
  /** Its own, and those of partitioned tables that it is a part of. */
  sequences: z.array(z.object({ schema: z.string(), name: z.string(), increment: z.string(), isShared: z.boolean() })),
});

/** A sequence of a table; `isShared`: others take numbers from it, too. */
export type TableSequence = z.output<typeof tableRow>["sequences"][number];

export type TableFacts = z.output<typeof tableRow>;

const upwards = `WITH RECURSIVE up (oid) AS (
           SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition
           UNION ALL SELECT i.inhparent FROM pg_inherits i JOIN up ON i.inhrelid = up.oid)`;

/** Tables that have rows of their own, as they are in the database of the session. */
export async function readTables(session: SqlSession): Promise<readonly TableFacts[]> {
  return await selectRows(
    session,
    `SELECT n.nspname AS schema, c.relname AS "table",
       coalesce((${upwards}
         SELECT json_agg(json_build_array(pn.nspname, p.relname)) FROM up JOIN pg_class p ON p.oid = up.oid
           JOIN pg_namespace pn ON pn.oid = p.relnamespace)::text, '[]') AS parents,
       coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'generated', a.attgenerated <> '')
         ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns,
       coalesce((${upwards}
         SELECT json_agg(json_build_object('schema', sn.nspname, 'name', s.relname, 'increment', q.seqincrement::text,
           'isShared', d.refobjid <> c.oid OR EXISTS (SELECT FROM pg_depend u JOIN pg_attrdef a ON a.oid = u.objid
             WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass AND u.refobjid = s.oid AND a.adrelid <> c.oid)) ORDER BY s.oid)
         FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
           JOIN pg_sequence q ON q.seqrelid = s.oid
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
           AND (d.refobjid = c.oid OR d.refobjid IN (SELECT oid FROM up))), '[]') AS sequences
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
     ORDER BY 1, 2`,
    z.object({ ...tableRow.omit({ ancestors: true }).shape, parents: z.string() }).transform(({ parents, ...rest }) => ({
      ...rest,
      ancestors: parsePairs(parents).map(([schema, table]) => ({ schema, table })),
    })),
  );
}

function parsePairs(text: string): readonly (readonly [string, string])[] {
  return z.array(z.tuple([z.string(), z.string()])).parse(JSON.parse(text));
}

/**
 * The tables that `parts` name: `table`, `schema.table`, or a partitioned table, which means all of its partitions.
 * @throws unknown-name for a name that is of no table, or of several
 */
export function chooseTables(tables: readonly TableFacts[], parts: readonly string[]): readonly TableFacts[] {
  if (tables.length === 0) {
    throw new HoldfastError("unknown-name", "the backup has no table: it holds rows without definitions, or nothing", {
      hint: "Rows of a backup with dataOnly are loaded by hand, into tables that are there: `holdfast restore NAME --to DIR`, then pg_restore --data-only, or psql.",
    });
  }
  const chosen = new Set<TableFacts>();
  for (const part of parts) {
    const whole = findMeant(tables, (name) => [name.key, `${name.schema}.${name.table}`].includes(part));
    const meant = whole.size > 0 ? whole : findMeant(tables, ({ table }) => table === part);
    const found = [...meant.values()].flat();
    const isAmbiguous = meant.size > 1;
    if (found.length === 0 || isAmbiguous) {
      const names = isAmbiguous ? [...meant.keys()] : tables.map(({ schema, table }) => formatTableKey(schema, table));
      throw new HoldfastError("unknown-name", `the backup has ${isAmbiguous ? "several tables" : "no table"} ${JSON.stringify(part)}`, {
        hint: `Name one of: ${names.slice(0, 20).join(", ")}${names.length > 20 ? ", …" : ""}.`,
      });
    }
    for (const table of found) chosen.add(table);
  }
  return [...chosen];
}

/** By the name of each table, partitioned ones included, that is meant: the tables that have its rows. */
function findMeant(
  tables: readonly TableFacts[],
  isMeant: (name: TableName & { readonly key: string }) => boolean,
): ReadonlyMap<string, readonly TableFacts[]> {
  const meant = new Map<string, TableFacts[]>();
  for (const each of tables)
    for (const { schema, table } of [each, ...each.ancestors]) {
      const key = formatTableKey(schema, table);
      if (isMeant({ schema, table, key })) meant.set(key, [...(meant.get(key) ?? []), each]);
    }
  return meant;
}

/** Rows of another shape would not fit. @throws target-unsafe */
export function requireSameColumns(backedUp: TableFacts, present: TableFacts): void {
  const describe = ({ columns }: TableFacts): string[] => columns.map(({ name, type }) => `${name} ${type}`);
  const [then, now] = [describe(backedUp), describe(present)];
  const differences = [...then.filter((each) => !now.includes(each)), ...now.filter((each) => !then.includes(each))];
  if (differences.length === 0) return;
  throw new HoldfastError(
    "target-unsafe",
    `${formatTableKey(present.schema, present.table)} has other columns now than when it was backed up: ${differences.slice(0, 5).join(", ")}`,
    { hint: "Restore the whole database, or restore it under another name (restoreConnection) and copy what you need." },
  );
}

export function sameTable(one: TableName, other: TableName): boolean {
  return one.schema === other.schema && one.table === other.table;
}

const foreignKeyRow = z.object({
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  definition: z.string(),
  comment: z.string().nullable(),
});

export type ForeignKey = z.output<typeof foreignKeyRow>;

/** Those that go from the tables, to them, or are of partitioned tables that they are parts of. */
export async function readForeignKeys(session: SqlSession, tables: readonly TableFacts[]): Promise<readonly ForeignKey[]> {
  const keys = tables.flatMap((each) => [each, ...each.ancestors].map(({ schema, table }) => formatTableKey(schema, table)));
  const found = await selectRows(
    session,
    `SELECT n.nspname AS schema, c.relname AS "table", f.conname AS name, pg_get_constraintdef(f.oid) AS definition,
       obj_description(f.oid, 'pg_constraint') AS comment, rn.nspname AS "toSchema", r.relname AS "toTable"
     FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_class r ON r.oid = f.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
     WHERE f.contype = 'f' AND f.conparentid = 0 ORDER BY 1, 2, 3`,
    foreignKeyRow.extend({ toSchema: z.string(), toTable: z.string() }),
  );
  return found.filter(
    (each) => keys.includes(formatTableKey(each.schema, each.table)) || keys.includes(formatTableKey(each.toSchema, each.toTable)),
  );
}

const triggerRow = z.object({ name: z.string(), mode: z.string() });

/** The application's triggers that would fire: what is restored has been through them. */
export async function readTriggers(session: SqlSession, table: TableName): Promise<readonly z.output<typeof triggerRow>[]> {
  return await selectRows(
    session,
    `SELECT tgname AS name, tgenabled AS mode FROM pg_trigger
     WHERE tgrelid = ${quoteLiteral(quoteTable(table))}::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')`,
    triggerRow,
  );
}

const sequenceRow = z.object({ last: z.string(), called: z.boolean() });

export interface SequenceState extends z.output<typeof sequenceRow> {
  readonly schema: string;
  readonly name: string;
}

export async function readSequences(session: SqlSession, { sequences }: TableFacts): Promise<readonly SequenceState[]> {
  const states: SequenceState[] = [];
  for (const { schema, name } of sequences) {
    const sql = `SELECT last_value::text AS last, is_called AS called FROM ${quoteTable({ schema, table: name })}`;
    const [state] = await selectRows(session, sql, sequenceRow);
    if (state !== undefined) states.push({ schema, name, ...state });
  }
  return states;
}
