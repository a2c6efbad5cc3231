import type { RowSession } from "./direct-session.ts";
import { readCopyTable } from "./dump-contents.ts";
import { quoteLiteral } from "./quote-sql.ts";
import type { ScriptPart } from "./sql-script.ts";

/**
 * To be handed on to psql between two statements: comes to its end when psql has done all that stood before; returns false where psql has
 * ended instead.
 */
export type Reach = () => AsyncGenerator<string, boolean, undefined>;

/** Rows of fewer bytes are not worth a session of their own. */
const manyBytes = 1 << 20;

/**
 * A dump in SQL as psql reads it, without the rows of large tables, which sessions of their own send to the server meanwhile: psql takes rows
 * apart into lines and puts them together again. A COPY is run when psql has run all before it; where no session is to be had psql gets it.
 */
export async function* sendRows(
  parts: AsyncIterable<ScriptPart>,
  open: () => Promise<RowSession | undefined>,
  reach: Reach,
): AsyncGenerator<Uint8Array | string, void, undefined> {
  const iterator = parts[Symbol.asyncIterator]();
  const rest: AsyncIterable<ScriptPart> = { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) };
  const settings: string[] = [];
  try {
    for await (const part of rest) {
      if (part.kind === "setting") settings.push(part.statement);
      if (part.kind !== "copy" || !part.isFree) {
        yield part.bytes;
        continue;
      }
      const begun = await readBeginning(rest);
      if (begun.at(-1)?.kind === "end") {
        yield part.bytes;
        for (const { bytes } of begun) yield bytes;
        continue;
      }
      // If not, psql has ended, and says why.
      if (!(yield* reach())) return;
      await using session = await open();
      if (session === undefined) {
        yield part.bytes;
        for (const { bytes } of begun) yield bytes;
        continue;
      }
      for (const setting of settings) await session.query(setting);
      // Nobody uses the new tables; what a dump that was edited may hold locked is waited for by psql, which waits for us.
      await session.query("SET lock_timeout = '60s'");
      await copyRows(session, part.statement, readRows(begun, rest));
    }
  } finally {
    await iterator.return?.();
  }
}

/** Rows until there are many of them, or with the end mark. Fewer without that are those of a dump that is cut off. */
async function readBeginning(parts: AsyncIterable<ScriptPart>): Promise<readonly ScriptPart[]> {
  const begun: ScriptPart[] = [];
  let bytes = 0;
  for await (const part of parts) {
    begun.push(part);
    bytes += part.bytes.length;
    if (part.kind === "end" || bytes > manyBytes) break;
  }
  return begun;
}

/** The rows up to their end mark. */
async function* readRows(begun: readonly ScriptPart[], parts: AsyncIterable<ScriptPart>): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { bytes } of begun) yield bytes;
  for await (const { kind, bytes } of parts) {
    if (kind === "end") return;
    yield bytes;
  }
}

/**
 * Rows of a table that has none yet are written as what all transactions see (COPY's FREEZE): no page is written again when the rows are read for
 * the first time, or by a later VACUUM. The server asks for a TRUNCATE in the same transaction, which has nothing to remove.
 */
async function copyRows(session: RowSession, statement: string, rows: AsyncIterable<Uint8Array>): Promise<void> {
  const table = readCopyTable(statement);
  if (table === undefined || !(await isEmptyTable(session, table))) {
    await session.copyIn(statement, rows);
    return;
  }
  await session.query("BEGIN");
  await session.query(`TRUNCATE ONLY ${table}`);
  await session.copyIn(`${statement} (FREEZE)`, rows);
  await session.query("COMMIT");
}

/**
 * Whether a TRUNCATE is possible and removes nothing, and rows of this storage can be frozen. A partitioned table and a foreign one have their
 * rows elsewhere; an extension has put rows into its own, or made foreign keys and triggers, which others get at the end of a dump.
 */
async function isEmptyTable(session: RowSession, table: string): Promise<boolean> {
  const [found] = await session.query(
    `SELECT (c.relkind = 'r' AND c.relam IN (0, 2) AND NOT c.relhastriggers AND NOT c.relrowsecurity AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
       AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'))::pg_catalog.text AS fit
     FROM pg_catalog.pg_class c WHERE c.oid = ${quoteLiteral(table)}::pg_catalog.regclass`,
  );
  if (found?.["fit"] !== "true") return false;
  const [row] = await session.query(`SELECT EXISTS (SELECT FROM ONLY ${table})::pg_catalog.text AS filled`);
  return row?.["filled"] === "false";
}
