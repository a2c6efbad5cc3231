import { z } from "zod";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { quoteTable, type TableName } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import { planGuard } from "./sqlite-guard.ts";

const sequenceFields = z.object({ schema: z.string(), sequence: z.string(), lastValue: z.string(), isCalled: z.boolean() });
export type SequenceValue = z.output<typeof sequenceFields>;

/** What is needed to undo it, in the table `state` of the schema that keeps the old rows. */
const stateFields = z.object({
  tables: z.array(z.object({ schema: z.string(), table: z.string(), kept: z.string(), columns: z.array(z.string()) })),
  sequences: z.array(sequenceFields),
});
type State = z.output<typeof stateFields>;

export interface TargetTable extends TableName {
  /** That can be written: all but generated ones. */
  readonly columns: readonly string[];
}

export interface Replacement {
  readonly tables: readonly TargetTable[];
  readonly sequences: readonly SequenceValue[];
  /** Writes the new rows of one table, which is empty. */
  readonly fill: (table: TableName) => Promise<void>;
  readonly lockTimeoutMs: number;
}

/**
 * Replaces the rows of tables and the values of sequences in one transaction; the old ones are kept in `schema`, which is made by the same
 * transaction: it is there when, and only when, the rows have been replaced.
 */
export async function replaceRows(session: SqlSession, schema: string, change: Replacement): Promise<void> {
  await runReplacement(session, schema, change, async () => {
    await session.query(`CREATE SCHEMA ${quoteName(schema)}`);
    const state: State = { tables: [], sequences: await readValues(session, change.sequences) };
    for (const [at, { schema: of, table, columns }] of change.tables.entries()) {
      const kept = `t${at}`;
      await session.query(
        `CREATE TABLE ${quoteName(schema)}.${kept} AS SELECT ${listColumns(columns)} FROM ONLY ${quoteTable({ schema: of, table })}`,
      );
      state.tables.push({ schema: of, table, kept, columns: [...columns] });
    }
    await session.query(`CREATE TABLE ${quoteName(schema)}.state AS SELECT ${quoteLiteral(JSON.stringify(state))}::text AS value`);
  });
}

/** Brings the old rows back and removes what kept them. Does nothing when `schema` is not there. */
export async function bringBack(session: SqlSession, schema: string, lockTimeoutMs: number): Promise<void> {
  await session.query("BEGIN");
  try {
    await lockSchema(session, schema, lockTimeoutMs);
    const state = await readState(session, schema);
    if (state !== undefined) {
      const kept = new Map(state.tables.map((each) => [quoteTable(each), each]));
      const fill = async (table: TableName): Promise<void> => {
        const { kept: from, columns } = kept.get(quoteTable(table)) ?? { kept: "", columns: [] };
        const list = listColumns(columns);
        const into = list === "" ? "" : `(${list}) OVERRIDING SYSTEM VALUE`;
        await session.query(`INSERT INTO ${quoteTable(table)} ${into} SELECT ${list} FROM ${quoteName(schema)}.${from}`);
      };
      await exchange(session, { ...state, fill, lockTimeoutMs }, () => Promise.resolve());
      await session.query(`DROP SCHEMA ${quoteName(schema)} CASCADE`);
    }
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

export async function dropKept(session: SqlSession, schema: string): Promise<void> {
  await session.query(`DROP SCHEMA IF EXISTS ${quoteName(schema)} CASCADE`);
}

async function runReplacement(session: SqlSession, schema: string, change: Replacement, keep: () => Promise<void>): Promise<void> {
  await session.query("BEGIN");
  try {
    await lockSchema(session, schema, change.lockTimeoutMs);
    await exchange(session, change, keep);
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** A roll-back waits for the transaction of a program that has died, which the server may not have ended yet. */
async function lockSchema(session: SqlSession, schema: string, lockTimeoutMs: number): Promise<void> {
  await session.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
  await session.query("SET LOCAL row_security = off");
  await session.query("SET LOCAL DateStyle = 'ISO, YMD'");
  await session.query(`SELECT pg_advisory_xact_lock(hashtextextended(${quoteLiteral(schema)}, 0))::text`);
}

async function exchange(session: SqlSession, change: Replacement, keep: () => Promise<void>): Promise<void> {
  const names = change.tables.map((table) => `ONLY ${quoteTable(table)}`);
  if (names.length > 0) await session.query(`LOCK TABLE ${names.join(", ")} IN ACCESS EXCLUSIVE MODE`);
  await keep();
  const guard = await planGuard(session, change.tables);
  for (const statement of guard.suspend) await session.query(statement);
  if (names.length > 0) await session.query(`TRUNCATE TABLE ${names.join(", ")}`);
  for (const table of change.tables) await change.fill(table);
  await session.query("SET CONSTRAINTS ALL IMMEDIATE");
  for (const statement of guard.resume) await session.query(statement);
  for (const { schema, sequence, lastValue, isCalled } of change.sequences) {
    const name = `${quoteName(schema)}.${quoteName(sequence)}`;
    const set = `SELECT setval(${quoteLiteral(name)}::regclass, ${quoteLiteral(lastValue)}::bigint, ${String(isCalled)})::text`;
    const others = await readOtherUsers(session, name, change.tables);
    if (others.length === 0) {
      // setval alone would stay when the transaction is rolled back: it writes into the sequence that RESTART has made anew.
      await session.query(`ALTER SEQUENCE ${name} RESTART`);
      await session.query(set);
      continue;
    }
    // Others have taken the numbers between: it only goes on. Nobody takes one until it is done.
    const increment = BigInt(others[0]?.increment ?? 1);
    await session.query(`ALTER SEQUENCE ${name} INCREMENT BY ${increment}`);
    const last = BigInt(lastValue);
    const isBehind = `last_value ${increment > 0 ? "<" : ">"} ${last} OR last_value = ${last} AND NOT is_called AND ${String(isCalled)}`;
    await session.query(`${set} FROM ${name} WHERE ${isBehind}`);
  }
}

const userRow = z.object({ schema: z.string(), table: z.string(), increment: z.string() });

/** Tables besides `tables` whose defaults take numbers from a sequence. */
async function readOtherUsers(
  session: SqlSession,
  sequence: string,
  tables: readonly TableName[],
): Promise<readonly z.output<typeof userRow>[]> {
  const users = await selectRows(
    session,
    `SELECT n.nspname AS schema, c.relname AS "table", q.seqincrement::text AS increment
     FROM pg_depend u JOIN pg_attrdef a ON a.oid = u.objid JOIN pg_class c ON c.oid = a.adrelid AND c.relkind <> 'p'
       JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence q ON q.seqrelid = u.refobjid
     WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass AND u.refobjid = ${quoteLiteral(sequence)}::regclass`,
    userRow,
  );
  return users.filter((user) => !tables.some(({ schema, table }) => schema === user.schema && table === user.table));
}

export function listColumns(columns: readonly string[]): string {
  return columns.map(quoteName).join(", ");
}

async function readState(session: SqlSession, schema: string): Promise<State | undefined> {
  const exists = await selectRows(session, `SELECT 1 AS one FROM pg_namespace WHERE nspname = ${quoteLiteral(schema)}`, z.object({}));
  if (exists.length === 0) return undefined;
  const [found] = await selectRows(session, `SELECT value FROM ${quoteName(schema)}.state`, z.object({ value: z.string() }));
  return stateFields.parse(JSON.parse(found?.value ?? ""));
}

/** The values that these sequences have now. */
async function readValues(session: SqlSession, sequences: readonly SequenceValue[]): Promise<SequenceValue[]> {
  const values: SequenceValue[] = [];
  for (const { schema, sequence } of sequences) {
    const sql = `SELECT last_value::text AS "lastValue", is_called AS "isCalled" FROM ${quoteName(schema)}.${quoteName(sequence)}`;
    const [found] = await selectRows(session, sql, z.object({ lastValue: z.string(), isCalled: z.boolean() }));
    if (found !== undefined) values.push({ schema, sequence, ...found });
  }
  return values;
}
