import type { RowSession } from "./direct-session.ts";
import { readCopyTable } from "./dump-contents.ts";
import type { Reach } from "./feed-psql.ts";
import { quoteLiteral } from "./quote-sql.ts";
import type { ScriptPart } from "./sql-script.ts";

/** A dump in SQL as psql reads it. */
export async function* joinParts(parts: AsyncIterable<ScriptPart>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { bytes } of parts) yield bytes;
}

/**
 * A dump in SQL as psql reads it, without the rows that another session can send to the server by itself, which does so meanwhile: psql takes
 * them apart into lines and puts them together again. A statement is run when all before it has been.
 */
export async function* sendRows(
  parts: AsyncIterable<ScriptPart>,
  session: RowSession,
  reach: Reach,
): AsyncGenerator<Uint8Array | string, void, undefined> {
  const iterator = parts[Symbol.asyncIterator]();
  const rest: AsyncIterable<ScriptPart> = { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) };
  try {
    for await (const part of rest) {
      if (part.kind === "setting") await session.query(part.statement);
      if (part.kind !== "copy" || !part.isFree) yield part.bytes;
      else if (yield* reach()) await copyRows(session, part.statement, readRows(rest));
      // psql has ended, and says why.
      else return;
    }
  } finally {
    await iterator.return?.();
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

/** Of its own: a partitioned table and a foreign one have their rows elsewhere. An extension may have put some in. */
async function isEmptyTable(session: RowSession, table: string): Promise<boolean> {
  const [kind] = await session.query(
    `SELECT relkind::pg_catalog.text AS kind FROM pg_catalog.pg_class WHERE oid = ${quoteLiteral(table)}::pg_catalog.regclass`,
  );
  if (kind?.["kind"] !== "r") return false;
  const [row] = await session.query(`SELECT EXISTS (SELECT FROM ONLY ${table})::pg_catalog.text AS filled`);
  return row?.["filled"] === "false";
}

/** The rows that come next, up to their end mark. */
async function* readRows(parts: AsyncIterable<ScriptPart>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { kind, bytes } of parts) {
    if (kind === "end") return;
    yield bytes;
  }
}
