import assert from "node:assert/strict";
import Database from "better-sqlite3";
import type { RestoreOptions, SwapStep } from "../../src/datastores/contract.ts";
import { asStored, execute, listBeside, noSignal, openSqlite, recordInto, type Dumped, type Place } from "./sqlite.ts";

/** Tables of every make that SQLite has, and what relies on them. */
export const tablesSchema = `
  create table parent (id integer primary key, name text);
  insert into parent values (1, 'one'), (2, 'two');
  create table item (id integer primary key autoincrement, parent integer references parent (id), body blob, twice generated always as (id * 2) stored, later as (id * 3));
  insert into item (id, parent, body) values (5, 1, x'00ff'), (9223372036854775800, 2, 'text'), (7, null, 1.0), (8, null, cast(x'ff00fe' as text));
  delete from item where id = 9223372036854775800;
  update sqlite_sequence set seq = 40 where name = 'item';
  create index item_body on item (body);
  create table log (line text);
  create trigger item_log after insert on item begin insert into log values ('inserted ' || new.id); end;
  create table pair (a text, b integer, primary key (a, b)) without rowid;
  insert into pair values ('x', 1), ('y', 2);
  create table exact (rowid text, n integer, t text) strict;
  insert into exact (oid, rowid, n, t) values (100, 'named', 1, 'a'), (7, 'too', 2, 'b');
  create table "odd ""name""" ("a b" text);
  insert into "odd ""name""" values ('v');
  create table child (item integer references item (id));
  create view seen as select * from item;
  create virtual table words using fts5 (w);
  insert into words values ('w');
`;
/** Of them those that are restored, one in another spelling. */
export const wantedTables = ["ITEM", "pair", "exact", 'odd "name"'];

/** Everything that a table is, value by value with types. */
export function readTables(path: string, tables: readonly string[] = ["item", "pair", "exact", 'odd "name"']): string {
  const database = new Database(path, { readonly: true });
  try {
    return JSON.stringify(
      tables.map((table) => {
        const name = `"${table.replaceAll('"', '""')}"`;
        const exists = database.prepare("select 1 from sqlite_schema where name = ?").get(table) !== undefined;
        const columns = exists ? (database.pragma(`table_xinfo(${name})`) as { name: string }[]).map((column) => column.name) : [];
        const values = columns.map((column) => `typeof("${column}") || ':' || hex("${column}")`);
        const order = table === "pair" || !exists ? "" : " order by oid";
        const rowId = table === "pair" ? "1" : "oid";
        return [
          exists
            ? database
                .prepare(`select ${rowId}, ${values.join(", ")} from ${name}${order}`)
                .raw()
                .all()
            : "none",
          database.prepare("select type, name, sql from sqlite_schema where tbl_name = ? order by type, name").raw().all(table),
          database.prepare("select seq from sqlite_sequence where name = ?").pluck().all(table),
        ];
      }),
    );
  } finally {
    database.close();
  }
}

/** Changes all of them, rows and definitions. */
export function changeTables(path: string): void {
  execute(
    path,
    `pragma foreign_keys = off; drop trigger item_log; drop index item_body; delete from item; alter table item add column more text;
     insert into item (id, body, more) values (77, 'new', 'm'); create index item_more on item (more);
     drop table pair; update exact set n = 9; insert into log values ('later'); insert into "odd ""name""" values ('later')`,
  );
}

/** Restores single tables as the program does. */
export async function restoreTables(
  place: Place,
  path: string,
  dumped: Dumped,
  parts: readonly string[],
  restoring: Partial<RestoreOptions> = {},
): Promise<{ readonly steps: SwapStep[]; readonly counts: Readonly<Record<string, number>> }> {
  const steps: SwapStep[] = [];
  await using datastore = await openSqlite({ path, busyTimeoutMs: 5_000 }, place.context);
  const record = recordInto(steps);
  await using session = await datastore.openRestore({ kind: "original" }, { absent: false, parts, record, ...restoring }, noSignal);
  const staged = await session.stage(asStored(dumped), noSignal);
  await session.swap(restoring.record ?? record, noSignal);
  const found = await session.summarize(noSignal);
  assert.deepEqual(found.counts, staged.counts);
  return { steps, counts: found.counts };
}

/** What a restore has left beside the database. */
export async function listOurs(place: Place): Promise<readonly string[]> {
  return (await listBeside(place)).filter((name) => name.includes("holdfast"));
}
