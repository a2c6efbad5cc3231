import { HoldfastError } from "../../base/errors.ts";
import { SqlScanner, type Span } from "./sql-scanner.ts";

/**
 * A piece of a dump in SQL of one database. The `bytes` of all of them, one after the other, are the dump without its restriction of psql.
 *
 * - `text`: statements, comments, and whatever else is no row; may end in the midst of a statement.
 * - `setting`: a statement that says how rows are to be read, which another session needs too.
 * - `copy`: a `COPY … FROM stdin;` with its line break; `statement` is without its semicolon. `isFree` tells that another session may run it
 *   as well as the one that runs the text: no transaction is open, and with the settings so far both read it alike.
 * - `rows`: what follows it.
 * - `end`: the mark after the rows, with its line break.
 */
export type ScriptPart =
  | { readonly kind: "text" | "rows" | "end"; readonly bytes: Uint8Array }
  | { readonly kind: "setting"; readonly bytes: Uint8Array; readonly statement: string }
  | { readonly kind: "copy"; readonly bytes: Uint8Array; readonly statement: string; readonly isFree: boolean };

interface Cut extends Span {
  readonly kind: "setting" | "copy" | "end" | "command";
  readonly statement: string;
  readonly isFree: boolean;
}

/** A statement that is longer is handed on before its end has been seen; no COPY and no setting is. */
const heldBytes = 1 << 20;

/**
 * Takes a dump apart as it comes. Refuses what pg_dump writes nowhere: a line for psql itself, but for the restriction around all of the dump.
 */
export class ScriptReader {
  readonly #name: string;
  readonly #scanner: SqlScanner;
  #place: "before" | "within" | "after" = "before";
  #cuts: Cut[] = [];
  #held: Uint8Array[] = [];
  /** Where what is held begins, in bytes from the dump's beginning. */
  #at = 0;
  #bytes = 0;
  #kind: "text" | "rows" = "text";
  #isUtf8 = false;
  #inTransaction = false;
  #isFamiliar = true;
  /** Of a function. */
  #inBody = false;

  /** `name` is the dump's, for what is said of it. */
  constructor(name: string) {
    this.#name = name;
    this.#scanner = new SqlScanner({
      onStatement: (text, _, span) => {
        this.#goOn();
        this.#readStatement(text, span);
      },
      onCopy: (copy, span) => {
        this.#goOn();
        this.#cut("copy", span, copy);
      },
      onRows: (copy, _, span) => this.#cut("end", span, copy),
      onComment: () => undefined,
      onCommand: (line, span) => {
        this.#readCommand(line);
        this.#cut("command", span);
      },
    });
  }

  /** @throws backup-damaged for what no dump has */
  *push(chunk: Uint8Array): Generator<ScriptPart, void, undefined> {
    this.#held.push(chunk);
    this.#bytes += chunk.length;
    this.#scanner.push(chunk);
    yield* this.#takeTold(this.#scanner.told);
  }

  /** What is left at the end; a dump that is cut off may end within anything. */
  *finish(): Generator<ScriptPart, "whole" | "cut", undefined> {
    const end = this.#scanner.finish();
    yield* this.#takeTold(this.#bytes);
    return end;
  }

  *#takeTold(told: number): Generator<ScriptPart, void, undefined> {
    const cuts = this.#cuts;
    this.#cuts = [];
    for (const { kind, statement, isFree, from, to } of cuts) {
      // Of what was too long to be held the beginning has gone on its way.
      const isWhole = from >= this.#at;
      yield* this.#take(from);
      if (kind === "command") this.#drop(to);
      else {
        const bytes = Buffer.concat([...this.#pull(to)]);
        // Nothing but a line break may stand between the statement and its rows.
        const isPlain = isWhole && to - from === Buffer.byteLength(statement) + 2;
        yield kind === "end"
          ? { kind, bytes }
          : kind === "copy"
            ? { kind, bytes, statement, isFree: isFree && isPlain }
            : { kind, bytes, statement };
        if (kind !== "setting") this.#kind = kind === "copy" ? "rows" : "text";
      }
    }
    yield* this.#take(this.#bytes - told > heldBytes ? this.#bytes : told);
  }

  *#take(to: number): Generator<ScriptPart, void, undefined> {
    for (const bytes of this.#pull(to)) yield { kind: this.#kind, bytes };
  }

  #drop(to: number): void {
    for (const _ of this.#pull(to));
  }

  /** What is held, as far as `to`. */
  *#pull(to: number): Generator<Uint8Array, void, undefined> {
    for (let [first] = this.#held; first !== undefined && this.#at < to; [first] = this.#held) {
      const piece = first.subarray(0, to - this.#at);
      this.#at += piece.length;
      if (piece.length === first.length) this.#held.shift();
      else this.#held[0] = first.subarray(piece.length);
      yield piece;
    }
  }

  #cut(kind: Cut["kind"], { from, to }: Span, statement = ""): void {
    this.#cuts.push({ kind, from, to, statement, isFree: this.#isUtf8 && !this.#inTransaction && !this.#inBody && this.#isFamiliar });
  }

  #readStatement(text: string, span: Span): void {
    // A body of SQL comes in as many pieces as it has semicolons.
    if (this.#inBody) {
      this.#inBody = text !== "END";
      return;
    }
    this.#inBody = routineBody.test(text);
    const encoding = /^SET client_encoding = '([^']*)'$/.exec(text)?.[1];
    if (encoding !== undefined) this.#isUtf8 = encoding === "UTF8";
    if (text === "BEGIN") this.#inTransaction = true;
    else if (text === "COMMIT") this.#inTransaction = false;
    else if (rowSettings.test(text)) this.#cut("setting", span, text);
    else if (!definitions.test(text) || sessionFunctions.test(text)) this.#isFamiliar = false;
  }

  #readCommand(line: string): void {
    const isOwn = this.#place === "before" ? /^\\restrict \S+$/.test(line) : this.#place === "within" && /^\\unrestrict \S+$/.test(line);
    if (!isOwn) this.#refuse("holds a command for psql itself");
    this.#place = this.#place === "before" ? "within" : "after";
  }

  #goOn(): void {
    if (this.#place === "after") this.#refuse("goes on after its end");
    this.#place = "within";
  }

  #refuse(what: string): never {
    throw new HoldfastError("backup-damaged", `${this.#name} ${what}, which pg_dump writes nowhere: do not trust it`, {
      hint: "Nothing was replaced. Restore another backup.",
    });
  }
}

/** As pg_dump writes them: what another session needs that reads rows. The search path is set by a function. */
const rowSettings =
  /^SET (statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|client_encoding|xmloption|client_min_messages|row_security) = ('\w*'|\w+)$|^SET standard_conforming_strings = (on|off)$|^SELECT pg_catalog\.set_config\('search_path', '', false\)$/;
/** What else pg_dump writes, by its first word, as it writes it: nothing of it changes how rows are read, or by whom, or begins a transaction. */
const definitions =
  /^((ALTER|COMMENT|DROP|GRANT|INSERT|REFRESH|REVOKE|SECURITY|SELECT)\b|CREATE\b(?!\s+(GLOBAL\s+|LOCAL\s+)?TEMP)|SET (check_function_bodies|default_tablespace|default_table_access_method|default_with_oids) = )/;
const sessionFunctions = /^SELECT\b[^]*\bset_config\b/i;
/** `CREATE FUNCTION … BEGIN ATOMIC …; …; END`. */
const routineBody = /^CREATE (OR REPLACE )?(FUNCTION|PROCEDURE)\b[^]*\bBEGIN ATOMIC\b(?![^]*\bEND$)/;
