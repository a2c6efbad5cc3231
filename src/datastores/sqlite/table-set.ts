import type Database from "better-sqlite3";
import { HoldfastError } from "../../base/errors.ts";
import { quoteName } from "../sqlite-files/integrity.ts";

/** A database within a connection: the one that was opened, or one attached to it. */
export type Schema = "main" | "source" | "live";

interface Listed {
  readonly name: string;
  readonly type: string;
  readonly wr: number;
}

const reasons: Readonly<Record<string, string>> = {
  view: "it is a view, which has no rows of its own",
  virtual: "it is a virtual table, whose rows lie in other tables",
  shadow: "it belongs to a virtual table",
};

/** The table of that name, as SQLite compares names; undefined where there is none. @throws usage for what is no plain table */
export function findTable(database: Database.Database, schema: Schema, wanted: string): string | undefined {
  if (/^sqlite_/i.test(wanted)) throw new HoldfastError("usage", `${wanted} is SQLite's own and cannot be restored alone`);
  const listed = database
    .prepare("select name, type, wr from pragma_table_list where schema = ? and name = ? collate nocase")
    .get(schema, wanted) as Listed | undefined;
  if (listed === undefined || listed.type === "table") return listed?.name;
  throw new HoldfastError("usage", `${wanted} cannot be restored alone: ${reasons[listed.type] ?? `it is a ${listed.type}`}`, {
    hint: "Restore all of the database, or with `holdfast extract` take what is needed from a copy of it.",
  });
}

/** Of each wanted table that is there the name that it has. @throws usage */
export function findTables(database: Database.Database, schema: Schema, wanted: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of wanted) {
    const actual = findTable(database, schema, name);
    if (actual !== undefined) found.set(name, actual);
  }
  return found;
}

export function countRows(database: Database.Database, schema: Schema, table: string): number {
  return Number(
    database
      .prepare(`select count(*) from ${schema}.${quoteName(table)}`)
      .pluck()
      .get(),
  );
}

/**
 * Makes a table of an attached database in the one that was opened, which must have none of that name: its rows under their own row ids,
 * then its indexes and triggers, which thus have not fired, and where AUTOINCREMENT goes on.
 */
export function recreateTable(database: Database.Database, from: Schema, table: string): void {
  const objects = database
    .prepare(
      `select type, sql from ${from}.sqlite_schema where tbl_name = ? collate nocase and sql is not null and type in ('table', 'index', 'trigger')
       order by case type when 'table' then 0 when 'index' then 1 else 2 end, rowid`,
    )
    .all(table) as { readonly type: string; readonly sql: string }[];
  for (const { sql } of objects.filter(({ type }) => type === "table")) database.exec(sql);
  const columns = listColumns(database, from, table).map(quoteName).join(", ");
  database.exec(`insert into main.${quoteName(table)} (${columns}) select ${columns} from ${from}.${quoteName(table)}`);
  if (hasSequences(database, from) && hasSequences(database, "main")) {
    database.prepare("delete from main.sqlite_sequence where name = ?").run(table);
    database
      .prepare(`insert into main.sqlite_sequence (name, seq) select name, seq from ${from}.sqlite_sequence where name = ?`)
      .run(table);
  }
  for (const { sql } of objects.filter(({ type }) => type !== "table")) database.exec(sql);
}

export function dropTable(database: Database.Database, table: string | undefined): void {
  if (table !== undefined) database.exec(`drop table main.${quoteName(table)}`);
}

/** What can be written to, with the row id where it is kept and has a name left to call it by. */
function listColumns(database: Database.Database, schema: Schema, table: string): readonly string[] {
  const columns = database.prepare("select name, hidden from pragma_table_xinfo(?, ?)").all(table, schema) as {
    readonly name: string;
    readonly hidden: number;
  }[];
  const { wr } = database.prepare("select wr from pragma_table_list where schema = ? and name = ?").get(schema, table) as Listed;
  const taken = new Set(columns.map(({ name }) => name.toLowerCase()));
  const rowId = wr === 1 ? undefined : ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name));
  // Generated columns are computed again.
  return [...(rowId === undefined ? [] : [rowId]), ...columns.flatMap(({ name, hidden }) => (hidden === 0 ? [name] : []))];
}

function hasSequences(database: Database.Database, schema: Schema): boolean {
  return database.prepare(`select 1 from ${schema}.sqlite_schema where name = 'sqlite_sequence'`).get() !== undefined;
}

/** What else in the database relies on these tables and stays as it is, one line each, for people. */
export function describeRelations(database: Database.Database, tables: readonly string[]): readonly string[] {
  const chosen = new Set(tables.map((name) => name.toLowerCase()));
  const keys = listReferring(database, tables).flatMap((name) => (chosen.has(name.toLowerCase()) ? [] : [`foreign keys of ${name}`]));
  const objects = database
    .prepare(
      "select type, name, tbl_name, sql from main.sqlite_schema where sql is not null and (type in ('view', 'trigger') or sql like 'create virtual%')",
    )
    .all() as { readonly type: string; readonly name: string; readonly tbl_name: string; readonly sql: string }[];
  const mentions = objects.filter(
    ({ type, tbl_name: owner, sql }) =>
      !(type === "trigger" && chosen.has(owner.toLowerCase())) && tables.some((table) => mentionsName(sql, table)),
  );
  return [...keys, ...mentions.map(({ type, name }) => `${type === "table" ? "virtual table" : type} ${name}`)];
}

/** Tables with foreign keys to one of these. */
export function listReferring(database: Database.Database, tables: readonly string[]): readonly string[] {
  const sql = `select distinct l.name from pragma_table_list l join pragma_foreign_key_list(l.name, 'main') k
    where l.schema = 'main' and l.type = 'table' and k."table" = ? collate nocase`;
  return [...new Set(tables.flatMap((table) => database.prepare(sql).pluck().all(table).map(String)))];
}

function mentionsName(sql: string, table: string): boolean {
  const escaped = table.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
  return new RegExp(`(?<![\\p{L}\\p{N}_$])${escaped}(?![\\p{L}\\p{N}_$])`, "iu").test(sql);
}
