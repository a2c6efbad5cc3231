import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import type { StoredEntry } from "../contract.ts";
import { NeedsReader, type DumpNeeds } from "./needs-reader.ts";
import { countLifting, createCutError, edgeBytes, findBegin, readTrailer } from "./plain-edges.ts";
import { SqlScanner } from "./sql-scanner.ts";

/** Owners and tables stand before the rows: so much is read before anything is made. What is smaller is not streamed. */
const headBytes = 4 * 1024 * 1024;

/** A large dump in SQL of one database, which is read while it is loaded. Closing it ends the reading. */
export interface StreamedText extends AsyncDisposable {
  /** As far as its beginning and the manifest tell. */
  readonly needs: DumpNeeds;
  /**
   * Its text without its own restriction, to be read once. Every piece has been followed by the scanner before it is handed on, and whatever
   * else tells psql what to do is refused; it ends normally only if its hashes agree and it has come to its end.
   */
  readonly text: () => AsyncIterable<Uint8Array>;
}

/**
 * Begins to read an entry. Undefined where it is not to be streamed: it is small, a tree, of a format of its own, or of a whole server. Then it
 * is read from its beginning again.
 */
export async function openStreamedText(
  entry: StoredEntry,
  database: string | undefined,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<StreamedText | undefined> {
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
      text: () => readChecked(begun, body, entry.name, report),
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
): AsyncGenerator<Uint8Array, void, undefined> {
  const guard = new CommandGuard(name);
  guard.push(begun);
  const begin = findBegin(begun.subarray(0, edgeBytes));
  // Its last part is held back until it is known to be the last one.
  const held: Uint8Array[] = [begun.subarray(begin)];
  let heldBytes = begun.length - begin;
  let bytes = begun.length;
  for (let next = await body.next(); next.done !== true; next = await body.next()) {
    const { value } = next;
    guard.push(value);
    held.push(value);
    heldBytes += value.length;
    bytes += value.length;
    for (let [first] = held; first !== undefined && heldBytes - first.length >= edgeBytes; [first] = held) {
      held.shift();
      heldBytes -= first.length;
      yield first;
    }
    report(bytes);
  }
  const rest = Buffer.concat(held);
  const tail = rest.subarray(Math.max(0, rest.length - edgeBytes));
  if (guard.finish() === "cut" || readTrailer(tail) !== "database")
    throw createCutError(name, "Nothing was replaced. Restore another backup.");
  yield rest.subarray(0, rest.length - countLifting(tail));
}

/** Refuses what pg_dump writes nowhere: a line for psql itself, but for the restriction around all of the dump. */
class CommandGuard {
  readonly #scanner: SqlScanner;
  #place: "before" | "within" | "after" = "before";

  constructor(name: string) {
    const refuse = (what: string): never => {
      throw new HoldfastError("backup-damaged", `${name} ${what}, which pg_dump writes nowhere: do not trust it`, {
        hint: "Nothing was replaced. Restore another backup.",
      });
    };
    const goOn = (): void => {
      if (this.#place === "after") refuse("goes on after its end");
      this.#place = "within";
    };
    this.#scanner = new SqlScanner({
      onStatement: goOn,
      onRows: goOn,
      onComment: () => undefined,
      onCommand: (line) => {
        const isOwn =
          this.#place === "before" ? /^\\restrict \S+$/.test(line) : this.#place === "within" && /^\\unrestrict \S+$/.test(line);
        if (!isOwn) refuse("holds a command for psql itself");
        this.#place = this.#place === "before" ? "within" : "after";
      },
    });
  }

  push(chunk: Uint8Array): void {
    this.#scanner.push(chunk);
  }

  finish(): "whole" | "cut" {
    return this.#scanner.finish();
  }
}
