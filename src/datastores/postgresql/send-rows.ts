import type { RowSession } from "./direct-session.ts";
import type { Reach } from "./feed-psql.ts";
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
      else if (yield* reach()) await session.copyIn(part.statement, readRows(rest));
      // psql has ended, and says why.
      else return;
    }
  } finally {
    await iterator.return?.();
  }
}

/** The rows that come next, up to their end mark. */
async function* readRows(parts: AsyncIterable<ScriptPart>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { kind, bytes } of parts) {
    if (kind === "end") return;
    yield bytes;
  }
}
