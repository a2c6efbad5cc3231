import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { matchesPattern } from "./entry-names.ts";
import type { PostgresqlOptions } from "./options.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";

const relationRow = z.object({
  oid: z.string(),
  schema: z.string(),
  table: z.string(),
  /** `r` table, `p` partitioned table, `m` materialised view, `f` foreign table. */
  kind: z.enum(["r", "p", "m", "f"]),
  isOfExtension: z.boolean(),
  /** Partitioned tables that it is a partition of, nearest first. */
  ancestors: z.array(z.string()),
});
export type Relation = z.output<typeof relationRow>;

const columnRow = z.object({
  oid: z.string(),
  name: z.string(),
  /** As PostgreSQL writes it: `numeric(10,2)`. */
  type: z.string(),
  /** Of a domain, what it is made of; null where that is not PostgreSQL's own. */
  base: z.string().nullable(),
  notNull: z.boolean(),
  isGenerated: z.boolean(),
  default: z.string().nullable(),
});
export type SourceColumn = z.output<typeof columnRow>;

const constraintRow = z.object({
  oid: z.string(),
  name: z.string(),
  /** `p` primary key, `u` unique, `f` foreign key, `c` check, `x` exclusion. */
  kind: z.string(),
  columns: z.array(z.string()),
  target: z.string().nullable(),
  targetColumns: z.array(z.string()),
  onDelete: z.string(),
  onUpdate: z.string(),
  isDeferrable: z.boolean(),
  /** Whether SQLite can say the same: a plain btree index behind it, enforced, without further conditions. */
  isPlain: z.boolean(),
});
export type SourceConstraint = z.output<typeof constraintRow>;

const indexRow = z.object({
  oid: z.string(),
  name: z.string(),
  isUnique: z.boolean(),
  columns: z.array(z.string()),
  descending: z.array(z.boolean()),
  isPlain: z.boolean(),
});
export type SourceIndex = z.output<typeof indexRow>;

const sequenceRow = z.object({ schema: z.string(), sequence: z.string(), owner: z.string().nullable() });
export type SourceSequence = z.output<typeof sequenceRow>;

/** Everything of the tables that are to be exported, as one snapshot has it. */
export interface SourceSchema {
  /** Ordinary tables and partitions: those that have rows. */
  readonly tables: readonly Relation[];
  /** Partitioned tables: their rows are their partitions'. */
  readonly partitioned: readonly Relation[];
  /** What has rows and is not exported. */
  readonly leftOut: readonly Relation[];
  readonly columns: ReadonlyMap<string, readonly SourceColumn[]>;
  readonly constraints: ReadonlyMap<string, readonly SourceConstraint[]>;
  readonly indexes: ReadonlyMap<string, readonly SourceIndex[]>;
  readonly sequences: readonly SourceSequence[];
  readonly largeObjects: number;
}

/** A schema of ours that keeps rows while a restore is going on. */
export const undoSchemaPrefix = "holdfast_undo_";

const isOurs = (column: string): string => `${column} ~ '^(pg_|${undoSchemaPrefix}[0-9a-f]+$)' OR ${column} = 'information_schema'`;
const isMember = (catalog: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

const relationsSql = `
  SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS "table", c.relkind AS kind, ${isMember("pg_class", "c.oid")} AS "isOfExtension",
    ARRAY(SELECT a.relid::oid::text FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a (relid, at) WHERE a.relid <> c.oid ORDER BY a.at) AS ancestors
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't' AND NOT (${isOurs("n.nspname")}) ORDER BY n.nspname, c.relname`;

const columnsSql = `
  WITH RECURSIVE types AS (
    SELECT t.oid, t.oid AS base FROM pg_type t WHERE t.typtype <> 'd'
    UNION ALL SELECT t.oid, types.base FROM pg_type t JOIN types ON types.oid = t.typbasetype WHERE t.typtype = 'd'
  )
  SELECT a.attrelid::text AS oid, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS "notNull",
    CASE WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname::text END AS base,
    a.attgenerated <> '' AS "isGenerated", pg_get_expr(d.adbin, d.adrelid) AS "default"
  FROM pg_attribute a JOIN types ON types.oid = a.atttypid JOIN pg_type b ON b.oid = types.base
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($oids) ORDER BY a.attrelid, a.attnum`;

const named = (relation: string, keys: string): string =>
  `ARRAY(SELECT a.attname::text FROM unnest(${keys}) WITH ORDINALITY k (n, at) JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.n ORDER BY k.at)`;

// Later versions' columns are looked for in JSON. A key of a referenced partitioned table has further rows for its partitions: not ours.
const constraintsSql = `
  SELECT c.conrelid::text AS oid, c.conname AS name, c.contype::text AS kind, ${named("c.conrelid", "c.conkey")} AS columns,
    nullif(c.confrelid, 0)::text AS target, ${named("c.confrelid", "c.confkey")} AS "targetColumns",
    c.confdeltype::text AS "onDelete", c.confupdtype::text AS "onUpdate", c.condeferrable AS "isDeferrable",
    coalesce(m.amname, 'btree') = 'btree' AND to_jsonb(c) ->> 'conperiod' IS DISTINCT FROM 'true'
      AND to_jsonb(c) ->> 'conenforced' IS DISTINCT FROM 'false' AND to_jsonb(x) ->> 'indnullsnotdistinct' IS DISTINCT FROM 'true'
      AND coalesce(to_jsonb(c) ->> 'confdelsetcols', '') = '' AS "isPlain"
  FROM pg_constraint c LEFT JOIN pg_index x ON x.indexrelid = c.conindid LEFT JOIN pg_class i ON i.oid = c.conindid LEFT JOIN pg_am m ON m.oid = i.relam
  WHERE c.contype IN ('p', 'u', 'f', 'c', 'x') AND c.conrelid = ANY ($oids)
    AND NOT EXISTS (SELECT FROM pg_constraint p WHERE c.contype = 'f' AND p.oid = c.conparentid AND p.conrelid = c.conrelid)
  ORDER BY c.conrelid, c.contype, c.conname`;

const indexesSql = `
  SELECT x.indrelid::text AS oid, i.relname AS name, x.indisunique AS "isUnique",
    ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY k (n, at) JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.n
      WHERE k.at <= x.indnkeyatts ORDER BY k.at) AS columns,
    ARRAY(SELECT (o.bits & 1) = 1 FROM unnest(x.indoption::int2[]) WITH ORDINALITY o (bits, at) ORDER BY o.at) AS descending,
    x.indexprs IS NULL AND x.indpred IS NULL AND m.amname IN ('btree', 'hash') AND x.indisvalid
      AND to_jsonb(x) ->> 'indnullsnotdistinct' IS DISTINCT FROM 'true' AS "isPlain"
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
  WHERE x.indrelid = ANY ($oids)
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u', 'x'))
  ORDER BY x.indrelid, i.relname`;

const sequencesSql = `
  SELECT n.nspname AS schema, c.relname AS sequence, d.refobjid::text AS owner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND NOT (${isOurs("n.nspname")}) AND NOT ${isMember("pg_class", "c.oid")} ORDER BY n.nspname, c.relname`;

type Selection = Pick<PostgresqlOptions, "tables" | "excludeTables" | "schemas" | "excludeSchemas">;

/** The tables that the options ask for. A partition is chosen by its own name or by that of a table that it is a partition of. */
export async function readRelations(session: SqlSession, options: Selection): Promise<readonly Relation[]> {
  const all = await selectRows(session, relationsSql, relationRow);
  const byOid = new Map(all.map((relation) => [relation.oid, relation]));
  const isNamed = (relation: Relation, patterns: readonly string[]): boolean =>
    [relation.oid, ...relation.ancestors].some((oid) => {
      const each = byOid.get(oid);
      return each !== undefined && (matchesPattern(each.table, patterns) || matchesPattern(`${each.schema}.${each.table}`, patterns));
    });
  const chosen = all.filter(
    (relation) =>
      (options.tables.length === 0 || isNamed(relation, options.tables)) &&
      !isNamed(relation, options.excludeTables) &&
      (options.schemas.length === 0 || matchesPattern(relation.schema, options.schemas)) &&
      !matchesPattern(relation.schema, options.excludeSchemas),
  );
  if (chosen.length === 0 && options.tables.length + options.schemas.length > 0) {
    throw new HoldfastError("source-missing", "no table fits what `tables` and `schemas` name", {
      hint: "Names are taken in the case in which they are written: `Users` is not `users`.",
      details: { what: "tables" },
    });
  }
  return chosen;
}

/** What the relations are made of. */
export async function readSourceSchema(session: SqlSession, relations: readonly Relation[], options: Selection): Promise<SourceSchema> {
  const tables = relations.filter(({ kind, isOfExtension }) => kind === "r" && !isOfExtension);
  const oids = `'{${relations.map(({ oid }) => oid).join(",")}}'::oid[]`;
  const read = async <T extends { readonly oid: string }>(sql: string, row: z.ZodType<T>): Promise<ReadonlyMap<string, readonly T[]>> =>
    Map.groupBy(await selectRows(session, sql.replace("$oids", oids), row), ({ oid }) => oid);
  const known = new Set(tables.map(({ oid }) => oid));
  const partitioned = relations.filter(({ kind, isOfExtension }) => kind === "p" && !isOfExtension);
  for (const { oid } of partitioned) known.add(oid);
  const isWhole = options.tables.length === 0;
  const sequences = (await selectRows(session, sequencesSql, sequenceRow)).filter(
    ({ schema, owner }) =>
      (options.schemas.length === 0 || matchesPattern(schema, options.schemas)) &&
      !matchesPattern(schema, options.excludeSchemas) &&
      (owner === null ? isWhole : known.has(owner)),
  );
  return {
    tables,
    partitioned,
    leftOut: relations.filter(({ kind, isOfExtension }) => isOfExtension || kind === "m" || kind === "f"),
    columns: await read(columnsSql, columnRow),
    constraints: await read(constraintsSql, constraintRow),
    indexes: await read(indexesSql, indexRow),
    sequences,
    largeObjects: await countLargeObjects(session),
  };
}

/** Only its number: rows of them belong to no table. */
async function countLargeObjects(session: SqlSession): Promise<number> {
  const [found] = await selectRows(session, "SELECT count(*) AS found FROM pg_largeobject_metadata", z.object({ found: z.number() }));
  return found?.found ?? 0;
}
