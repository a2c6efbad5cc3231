import { z } from "zod";
import type { StoredEntry } from "../contract.ts";
import { NeedsReader, type DumpNeeds } from "./needs-reader.ts";
import { createCutError, edgeBytes, readTrailer } from "./plain-edges.ts";
import { ScriptReader, type ScriptPart } from "./sql-script.ts";

/** Owners and tables stand before the rows: so much is read before anything is made. What is smaller is not streamed. */
const headBytes = 4 * 1024 * 1024;

/** A large dump in SQL of one database, which is read while it is loaded. Closing it ends the reading. */
export interface StreamedScript extends AsyncDisposable {
  /** As far as its beginning and the manifest tell. */
  readonly needs: DumpNeeds;
  /**
   * Its parts, without its own restriction, to be read once. Whatever else tells psql what to do is refused before it is handed on; it ends
   * normally only if its hashes agree and it has come to its end.
   */
  readonly parts: () => AsyncIterable<ScriptPart>;
}

/**
 * Begins to read an entry. Undefined where it is not to be streamed: it is small, a tree, of a format of its own, or of a whole server. Then it
 * is read from its beginning again.
 */
export async function openStreamedScript(
  entry: StoredEntry,
  database: string | undefined,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<StreamedScript | undefined> {
  if (entry.form === "tree" || entry.bytes <= headBytes) return undefined;
  const body = entry.open(signal)[Symbol.asyncIterator]();
  const close = async (): Promise<void> => {
    await body.return?.();
  };
  try {
    const head: Uint8Array[] = [];
    for (let bytes = 0; bytes < headBytes;) {
      const next = await body.next();
      if (next.done === true) break;
      head.push(next.value);
      bytes += next.value.length;
    }
    const begun = Buffer.concat(head);
    if (!isOfOneDatabase(begun)) {
      await close();
      return undefined;
    }
    const reader = new NeedsReader();
    reader.push(begun);
    return {
      needs: addNamed(reader.finish(), entry, database),
      parts: () => readChecked(begun, body, entry.name, report),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const isOfOneDatabase = (head: Buffer): boolean => /^(?:--\n|\n)*-- PostgreSQL database dump\n/.test(head.toString("latin1", 0, edgeBytes));

/** Rights that are granted, and roles that own what comes late, stand at the end of a dump, and in the manifest. */
function addNamed(needs: DumpNeeds, { contents }: StoredEntry, database: string | undefined): DumpNeeds {
  const read = (name: string): readonly string[] => {
    const fact = contents?.facts[name] ?? contents?.facts[`${name}.${database ?? ""}`];
    return typeof fact === "string" ? z.array(z.string()).parse(JSON.parse(fact)) : [];
  };
  const unite = (one: readonly string[], name: string): readonly string[] => [...new Set([...one, ...read(name)])];
  return { ...needs, roles: unite(needs.roles, "roles"), extensions: unite(needs.extensions, "extensions") };
}

async function* readChecked(
  begun: Buffer,
  body: AsyncIterator<Uint8Array>,
  name: string,
  report: (bytes: number) => void,
): AsyncGenerator<ScriptPart, void, undefined> {
  const reader = new ScriptReader(name);
  yield* reader.push(begun);
  let bytes = begun.length;
  let tail: Uint8Array = begun.subarray(-edgeBytes);
  for (let next = await body.next(); next.done !== true; next = await body.next()) {
    const { value } = next;
    yield* reader.push(value);
    bytes += value.length;
    tail = value.length >= edgeBytes ? value.subarray(-edgeBytes) : Buffer.concat([tail, value]).subarray(-edgeBytes);
    report(bytes);
  }
  const end = yield* reader.finish();
  if (end === "cut" || readTrailer(Buffer.from(tail)) !== "database")
    throw createCutError(name, "Nothing was replaced. Restore another backup.");
}
