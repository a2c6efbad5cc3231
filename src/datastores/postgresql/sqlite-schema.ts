import type { Relation, SourceColumn, SourceConstraint, SourceSchema } from "./sqlite-source.ts";
import { formatTableKey } from "./dump-contents.ts";
import { quoteName } from "./quote-sql.ts";
import { chooseStorage, declaredTypes, type Storage } from "./sqlite-types.ts";

export interface ExportColumn {
  /** In SQLite, which takes `Id` and `id` for one name. */
  readonly name: string;
  /** In PostgreSQL. */
  readonly column: string;
  readonly type: string;
  readonly storage: Storage;
  readonly generated: boolean;
}

export interface ExportTable {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly ExportColumn[];
  /** Keys of the partitioned tables that it is a partition of. */
  readonly partitionOf: readonly string[];
  /** What SQLite cannot hold of it, for people. */
  readonly leftOut: readonly string[];
}

/** What the SQLite file is made of. */
export interface ExportPlan {
  readonly tables: readonly ExportTable[];
  /** Run before the rows are written. */
  readonly createTables: readonly string[];
  /** Run after it: indexes, and a view for each partitioned table. */
  readonly finish: readonly string[];
  /** Relations that are not in the file, with the reason. */
  readonly leftOut: readonly { readonly schema: string; readonly table: string; readonly reason: string }[];
}

export const metadataTable = "holdfast_export";

/** Gives each thing a name of its own: SQLite keeps tables, views and indexes apart by names without regard to case. */
class Names {
  readonly #taken = new Set<string>();

  constructor(reserved: readonly string[] = []) {
    for (const name of reserved) this.#taken.add(fold(name));
  }

  choose(wanted: string): string {
    const base = /^sqlite_/i.test(wanted) ? `_${wanted}` : wanted;
    let name = base;
    for (let number = 2; this.#taken.has(fold(name)); number += 1) name = `${base}_${number}`;
    this.#taken.add(fold(name));
    return name;
  }
}

/** SQLite folds the letters of ASCII only. */
function fold(name: string): string {
  return name.replaceAll(/[A-Z]/g, (char) => char.toLowerCase());
}

interface Planned {
  readonly relation: Relation;
  readonly table: ExportTable;
  readonly byColumn: ReadonlyMap<string, ExportColumn>;
}

/** Pure: the statements that make the file, and what is lost. */
export function planExport(source: SourceSchema): ExportPlan {
  const names = new Names([metadataTable]);
  const planned = new Map<string, Planned>();
  const leftOut = source.leftOut.map(({ schema, table, kind, isOfExtension }) => ({ schema, table, reason: explain(kind, isOfExtension) }));
  const createTables: string[] = [];
  const finish: string[] = [];
  // In two rounds: a foreign key names a table that may come later.
  for (const relation of [...source.tables, ...source.partitioned]) {
    const columns = nameColumns(source.columns.get(relation.oid) ?? []);
    if (columns.length === 0) {
      leftOut.push({ schema: relation.schema, table: relation.table, reason: "it has no columns" });
      continue;
    }
    const wanted = relation.schema === "public" ? relation.table : `${relation.schema}.${relation.table}`;
    const lost = relation.kind === "p" ? [] : [...describeLost(source, relation)];
    const partitionOf = relation.ancestors.flatMap((oid) => {
      const parent = source.partitioned.find((each) => each.oid === oid);
      return parent === undefined ? [] : [formatTableKey(parent.schema, parent.table)];
    });
    const { schema, table: tableName } = relation;
    const table: ExportTable = { name: names.choose(wanted), schema, table: tableName, columns, partitionOf, leftOut: lost };
    planned.set(relation.oid, { relation, table, byColumn: new Map(columns.map((column) => [column.column, column])) });
  }
  const tables: ExportTable[] = [];
  for (const each of planned.values()) {
    if (each.relation.kind === "p") {
      finish.push(createView(each, [...planned.values()]));
      continue;
    }
    const { lines, lost } = describeTable(source, each, planned);
    createTables.push(`CREATE TABLE ${quoteName(each.table.name)} (\n  ${lines.join(",\n  ")}\n)`);
    for (const index of source.indexes.get(each.relation.oid) ?? []) {
      if (!index.isPlain) {
        lost.push(`index ${index.name}`);
        continue;
      }
      const columns = index.columns.map((column, at) => quoteColumn(each, column) + (index.descending[at] === true ? " DESC" : ""));
      const unique = index.isUnique ? "UNIQUE " : "";
      finish.push(`CREATE ${unique}INDEX ${quoteName(names.choose(index.name))} ON ${quoteName(each.table.name)} (${columns.join(", ")})`);
    }
    tables.push({ ...each.table, leftOut: lost });
  }
  return { tables, createTables, finish, leftOut };
}

function explain(kind: Relation["kind"], isOfExtension: boolean): string {
  if (isOfExtension) return "it belongs to an extension";
  return kind === "m" ? "it is a materialised view, made from other tables" : "its rows are on another server";
}

function nameColumns(columns: readonly SourceColumn[]): readonly ExportColumn[] {
  const names = new Names();
  return columns.map(({ name, type, base, isGenerated }) => ({
    name: names.choose(name),
    column: name,
    type,
    storage: chooseStorage(base),
    generated: isGenerated,
  }));
}

function quoteColumn({ byColumn }: Planned, column: string): string {
  return quoteName(byColumn.get(column)?.name ?? column);
}

function* describeLost(source: SourceSchema, { oid }: Relation): Generator<string> {
  for (const column of source.columns.get(oid) ?? []) if (column.isGenerated) yield `expression of the generated column ${column.name}`;
}

function describeTable(
  source: SourceSchema,
  each: Planned,
  planned: ReadonlyMap<string, Planned>,
): { readonly lines: readonly string[]; readonly lost: string[] } {
  const lost = [...each.table.leftOut];
  const constraints = source.constraints.get(each.relation.oid) ?? [];
  const key = constraints.find(({ kind, isPlain }) => kind === "p" && isPlain)?.columns ?? [];
  const lines = (source.columns.get(each.relation.oid) ?? []).map((column) => {
    const { name, storage } = each.byColumn.get(column.name) ?? { name: column.name, storage: "text" as const };
    const parts = [quoteName(name), declaredTypes[storage]];
    // The only form that makes it SQLite's own row number.
    if (key.length === 1 && key[0] === column.name && storage === "integer") parts.push("PRIMARY KEY");
    if (column.notNull) parts.push("NOT NULL");
    const value = column.default === null || column.isGenerated ? undefined : convertDefault(storage, column.default);
    if (value !== undefined) parts.push(`DEFAULT ${value}`);
    else if (column.default !== null && !column.isGenerated) lost.push(`default of ${column.name}: ${column.default}`);
    return parts.join(" ");
  });
  for (const constraint of constraints) {
    const line = describeConstraint(each, constraint, planned);
    if (line === undefined) lost.push(`${constraintWords[constraint.kind] ?? "constraint"} ${constraint.name}`);
    else if (!(constraint.kind === "p" && isRowNumber(each, key))) lines.push(line);
  }
  return { lines, lost };
}

function isRowNumber({ byColumn }: Planned, key: readonly string[]): boolean {
  return key.length === 1 && byColumn.get(key[0] ?? "")?.storage === "integer";
}

const constraintWords: Readonly<Record<string, string>> = {
  p: "primary key",
  u: "unique constraint",
  f: "foreign key",
  c: "check constraint",
  x: "exclusion constraint",
};
const actions: Readonly<Record<string, string>> = { a: "NO ACTION", r: "RESTRICT", c: "CASCADE", n: "SET NULL", d: "SET DEFAULT" };

function describeConstraint(each: Planned, constraint: SourceConstraint, planned: ReadonlyMap<string, Planned>): string | undefined {
  if (!constraint.isPlain) return undefined;
  const columns = constraint.columns.map((column) => quoteColumn(each, column)).join(", ");
  if (constraint.kind === "p") return `PRIMARY KEY (${columns})`;
  if (constraint.kind === "u") return `UNIQUE (${columns})`;
  if (constraint.kind !== "f") return undefined;
  const target = planned.get(constraint.target ?? "");
  if (target === undefined || target.relation.kind === "p") return undefined;
  const targetColumns = constraint.targetColumns.map((column) => quoteColumn(target, column)).join(", ");
  const { onDelete, onUpdate, isDeferrable } = constraint;
  return [
    `FOREIGN KEY (${columns}) REFERENCES ${quoteName(target.table.name)} (${targetColumns})`,
    ...(onDelete === "a" ? [] : [`ON DELETE ${actions[onDelete] ?? "NO ACTION"}`]),
    ...(onUpdate === "a" ? [] : [`ON UPDATE ${actions[onUpdate] ?? "NO ACTION"}`]),
    ...(isDeferrable ? ["DEFERRABLE INITIALLY DEFERRED"] : []),
  ].join(" ");
}

/** The same constant in SQLite; undefined for what is no constant. */
function convertDefault(storage: Storage, expression: string): string | undefined {
  if (/^NULL(::.+)?$/s.test(expression)) return "NULL";
  if (storage === "boolean") return expression === "true" ? "1" : expression === "false" ? "0" : undefined;
  const [, digits] = /^\(?'?(-?\d+(?:\.\d+)?)'?\)?(?:::[\w ()",.]+)?$/.exec(expression) ?? [];
  if (storage === "integer" || storage === "real") return digits;
  if (storage === "blob") return undefined;
  // A text constant is written as the server writes it, without its type; what has escapes is left out.
  const [, text] = /^('(?:[^'\\]|'')*')(?:::[\w ()",.[\]]+)?$/.exec(expression) ?? [];
  return text ?? (digits === undefined ? undefined : `'${digits}'`);
}

/** The rows of all partitions, under the name of the partitioned table. */
function createView({ relation, table }: Planned, all: readonly Planned[]): string {
  const parts = all.filter((each) => each.relation.kind === "r" && each.relation.ancestors.includes(relation.oid));
  const selects = parts.map((part) => {
    const columns = table.columns.map(({ column, name }) => `${quoteColumn(part, column)} AS ${quoteName(name)}`);
    return `SELECT ${columns.join(", ")} FROM ${quoteName(part.table.name)}`;
  });
  const empty = `SELECT ${table.columns.map(({ name }) => `NULL AS ${quoteName(name)}`).join(", ")} WHERE 0`;
  return `CREATE VIEW ${quoteName(table.name)} AS ${selects.length === 0 ? empty : selects.join(" UNION ALL ")}`;
}
