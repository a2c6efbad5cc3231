import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { selectDatabase } from "./connection.ts";
import { explainLoad } from "./restore-explain.ts";
import { countTable } from "./restore-count.ts";
import { feedPsql } from "./feed-psql.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { lockSql, openDatabase, selectRows, type Server } from "./restore-sql.ts";
import {
  readForeignKeys,
  readTables,
  readTriggers,
  sameTable,
  type SequenceState,
  type TableFacts,
  type TableSequence,
} from "./restore-table-set.ts";
import { durableCommits } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";
import type { TablesStep } from "./swap-steps.ts";

/** A table in the live database, and where its new rows are: in `from` of the session `source`. */
export interface TableReplacement {
  readonly table: TableFacts;
  readonly from: TableName;
  readonly sequences: readonly SequenceState[];
  /** How many there are: the transaction fails unless as many have come. */
  readonly rows: number;
}

const asideRow = z.object({ schema: z.string(), table: z.string(), aside: z.string(), sequences: z.string() });
const contentName = "content";

interface ReplaceSettings {
  readonly database: string;
  /** Keeps the old rows. */
  readonly schema: string | null;
  /** The schema of a replacement that this one undoes. */
  readonly drop?: string;
}

/**
 * Replaces the rows of tables in one transaction, with their sequences; nobody sees half of it. Foreign keys from and to them are checked
 * anew by the server. The old rows are kept in `schema`, which is there if and only if it was done; with null they are not kept.
 * @throws target-unsafe where a foreign key would be broken, or a lock is not to be had
 */
export async function replaceTables(
  server: Server,
  source: SqlSession,
  { database, schema, drop }: ReplaceSettings,
  replacements: readonly TableReplacement[],
  signal: AbortSignal,
): Promise<void> {
  await using session = await openDatabase(server, database, signal);
  const plan = await planScript(session, schema, replacements);
  async function* write(): AsyncGenerator<Uint8Array | string, void, undefined> {
    yield `SET statement_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n${durableCommits};\nBEGIN;\n`;
    yield `SET LOCAL search_path = pg_catalog;\nSET LOCAL lock_timeout = '60s';\nSET LOCAL row_security = off;\n${lockSql(drop ?? schema ?? database)};\n`;
    yield* plan.before.map((statement) => `${statement};\n`);
    for (const { table, from, rows } of replacements) {
      const columns = table.columns.flatMap(({ name, generated }) => (generated ? [] : [quoteName(name)])).join(", ");
      yield `TRUNCATE ONLY ${quoteTable(table)};\n`;
      // Where no column can be written an empty list would be a syntax error: each row is an empty line, both ways.
      yield `COPY ${quoteTable(table)} ${columns === "" ? "" : `(${columns})`} FROM stdin;\n`;
      yield* source.copyOut(`COPY (SELECT ${columns} FROM ONLY ${quoteTable(from)}) TO STDOUT`);
      yield `\\.\n${requireRowsSql(table, rows)};\n`;
    }
    yield* plan.after.map((statement) => `${statement};\n`);
    if (drop !== undefined) yield `DROP SCHEMA ${quoteName(drop)} CASCADE;\n`;
    yield "COMMIT;\n";
  }
  try {
    await feedPsql(selectDatabase(server.access, database), server.psql, write, signal);
  } catch (error) {
    throw signal.aborted ? error : explainTables(error);
  }
}

const miscounted = "the restore has put in";

/** Fails, with the text that explainTables finds, unless the table has so many rows. */
function requireRowsSql(table: TableName, rows: number): string {
  const text = [`${miscounted} `, ` rows, not ${rows}, into ${quoteTable(table)}`].map(quoteLiteral);
  return `SELECT CASE WHEN count(*) <> ${rows} THEN (${text[0]} || count(*) || ${text[1]})::pg_catalog.int4 END FROM ONLY ${quoteTable(table)}`;
}

interface Script {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

async function planScript(session: SqlSession, schema: string | null, replacements: readonly TableReplacement[]): Promise<Script> {
  const tables = replacements.map(({ table }) => table);
  const before: string[] = [`LOCK TABLE ${tables.map((table) => `ONLY ${quoteTable(table)}`).join(", ")} IN ACCESS EXCLUSIVE MODE`];
  const after: string[] = [];
  if (schema !== null) {
    before.push(`CREATE SCHEMA ${quoteName(schema)}`, `REVOKE ALL ON SCHEMA ${quoteName(schema)} FROM PUBLIC`);
    before.push(`CREATE TABLE ${quoteTable({ schema, table: contentName })} (schema text, "table" text, aside text, sequences text)`);
  }
  for (const key of await readForeignKeys(session, tables)) {
    before.push(`ALTER TABLE ${quoteTable(key)} DROP CONSTRAINT ${quoteName(key.name)}`);
    after.push(`ALTER TABLE ${quoteTable(key)} ADD CONSTRAINT ${quoteName(key.name)} ${key.definition}`);
    if (key.comment !== null)
      after.push(`COMMENT ON CONSTRAINT ${quoteName(key.name)} ON ${quoteTable(key)} IS ${quoteLiteral(key.comment)}`);
  }
  for (const [index, { table, sequences }] of replacements.entries()) {
    for (const { name, mode } of await readTriggers(session, table)) {
      before.push(`ALTER TABLE ${quoteTable(table)} DISABLE TRIGGER ${quoteName(name)}`);
      after.push(`ALTER TABLE ${quoteTable(table)} ENABLE ${mode === "A" ? "ALWAYS " : ""}TRIGGER ${quoteName(name)}`);
    }
    if (schema !== null) {
      const aside = `t${index + 1}`;
      before.push(`CREATE TABLE ${quoteTable({ schema, table: aside })} AS TABLE ONLY ${quoteTable(table)}`);
      const values = [table.schema, table.table, aside].map(quoteLiteral).join(", ");
      before.push(`INSERT INTO ${quoteTable({ schema, table: contentName })} VALUES (${values}, ${describeStates(table)})`);
    }
    for (const each of sequences) {
      const own = table.sequences.find(({ schema: of, name }) => of === each.schema && name === each.name);
      if (own !== undefined) after.push(...createSequenceSql(own, each));
    }
    after.push(`ANALYZE ${quoteTable(table)}`);
  }
  return { before, after };
}

/** A sequence that others use, too, only goes on: they have taken the numbers between. */
function createSequenceSql({ schema, name, increment, isShared }: TableSequence, { last, called }: SequenceState): readonly string[] {
  const sequence = quoteTable({ schema, table: name });
  const set = `SELECT pg_catalog.setval(${quoteLiteral(sequence)}::pg_catalog.regclass, ${BigInt(last)}, ${called})`;
  // setval alone would stay when the transaction is rolled back: it writes into the sequence that RESTART has made anew.
  if (!isShared) return [`ALTER SEQUENCE ${sequence} RESTART`, set];
  const order = BigInt(increment) > 0 ? "<" : ">";
  const isBehind = `last_value ${order} ${BigInt(last)} OR last_value = ${BigInt(last)} AND NOT is_called AND ${called}`;
  // It changes nothing, and keeps others from taking numbers until it is done.
  return [`ALTER SEQUENCE ${sequence} INCREMENT BY ${BigInt(increment)}`, `${set} FROM ${sequence} WHERE ${isBehind}`];
}

/** As SQL: the states of a table's sequences at the time when it is run, in the form that parseStates reads. */
function describeStates({ sequences }: TableFacts): string {
  const states = sequences.map(({ schema, name }) => {
    const of = [schema, name].map(quoteLiteral);
    return `(SELECT json_build_object('schema', ${of[0]}, 'name', ${of[1]}, 'last', last_value::text, 'called', is_called) FROM ${quoteTable({ schema, table: name })})`;
  });
  return `json_build_array(${states.join(", ")})::text`;
}

function explainTables(error: unknown): unknown {
  if (!(error instanceof HoldfastError)) return error;
  const stderr = error.details?.["stderr"];
  const text = typeof stderr === "string" ? stderr : error.message;
  const [, broken] = /ERROR: {2}(.*violates foreign key constraint[^\n]*)/.exec(text) ?? [];
  if (broken !== undefined) {
    const detail = /DETAIL: {2}([^\n]*)/.exec(text)?.[1];
    return new HoldfastError(
      "target-unsafe",
      `the restored rows would break a foreign key: ${broken}${detail === undefined ? "" : ` (${detail})`}`,
      {
        cause: error,
        hint: "Restore the tables at both ends of it together, or the whole database.",
      },
    );
  }
  if (/lock timeout/.test(text)) {
    return new HoldfastError("target-in-use", "the tables are locked by another session for more than 60 s", {
      cause: error,
      hint: "Stop the program that holds the lock, then restore again.",
    });
  }
  const wrong = new RegExp(`"(${miscounted} .*)"`).exec(text)?.[1];
  if (wrong !== undefined) return new HoldfastError("restore-failed", wrong, { cause: error, hint: "Restore the whole database instead." });
  return explainLoad(error);
}

/** Puts the old rows back. That the schema is there says that they were replaced; it goes in the same transaction. */
export async function undoTables(server: Server, { database, schema }: TablesStep, signal: AbortSignal): Promise<void> {
  await using session = await openDatabase(server, database, signal);
  await session.query(lockSql(schema));
  if (!(await hasSchema(session, schema))) return;
  const rows = await selectRows(session, `SELECT * FROM ${quoteTable({ schema, table: contentName })}`, asideRow);
  const present = await readTables(session);
  const replacements: TableReplacement[] = [];
  for (const { aside, sequences, ...name } of rows) {
    const table = present.find((each) => sameTable(each, name));
    if (table === undefined) {
      throw new HoldfastError(
        "restore-stuck",
        `${quoteTable(name)} is not there any more; its old rows are in ${quoteTable({ schema, table: aside })}`,
        {
          hint: "Make the table again, then repeat the rollback.",
        },
      );
    }
    const from = { schema, table: aside };
    replacements.push({ table, from, sequences: parseStates(sequences), rows: await countTable(session, from) });
  }
  await replaceTables(server, session, { database, schema: null, drop: schema }, replacements, signal);
}

function parseStates(text: string): readonly SequenceState[] {
  return z.array(z.object({ schema: z.string(), name: z.string(), last: z.string(), called: z.boolean() })).parse(JSON.parse(text));
}

export async function dropAsideTables(server: Server, { database, schema }: TablesStep, signal: AbortSignal): Promise<void> {
  await using session = await openDatabase(server, database, signal);
  await session.query(`DROP SCHEMA IF EXISTS ${quoteName(schema)} CASCADE`);
}

async function hasSchema(session: SqlSession, schema: string): Promise<boolean> {
  return (await session.query("SELECT FROM pg_namespace WHERE nspname = $1", [schema])).length > 0;
}
