import { DatabaseReader } from "./dump-contents.ts";
import { databaseStatement } from "./restore-shape.ts";
import { SqlScanner } from "./sql-scanner.ts";

/** What a dump asks of a server, and what it says of the database itself. */
export interface DumpNeeds {
  readonly roles: readonly string[];
  readonly extensions: readonly string[];
  readonly tablespaces: readonly string[];
  /** Major version of the server that was dumped; undefined where the dump does not say it. */
  readonly major: number | undefined;
  /** Statements that make the database and its settings; none in a plain dump. */
  readonly statements: readonly string[];
  readonly encoding: string | undefined;
  /** Keys of tables, by formatTableKey. */
  readonly tables: readonly string[];
  /** Keys of those whose rows were met, be it none of them; of a dump in SQL only. */
  readonly filled: ReadonlySet<string>;
  /** Whether it makes nothing at all. */
  readonly isEmpty: boolean;
}

const noDefinitions = new DatabaseReader(undefined).finish().schema;

/** Finds what a dump asks for in its SQL, as that comes. */
export class NeedsReader {
  readonly #reader = new DatabaseReader(undefined);
  readonly #filled = new DatabaseReader(undefined);
  readonly #statements: string[] = [];
  readonly #tablespaces = new Set<string>();
  #encoding: string | undefined;
  #version = "";
  readonly #scanner = new SqlScanner({
    onStatement: (text, sha256) => this.#readStatement(text, sha256),
    onComment: (line) => {
      this.#version = /^-- Dumped from database version (.*)$/.exec(line)?.[1] ?? this.#version;
    },
    onCommand: () => undefined,
    onRows: (copy) => this.#filled.addRows(copy, 0),
  });

  push(chunk: Uint8Array): void {
    this.#scanner.push(chunk);
  }

  finish(): DumpNeeds {
    this.#scanner.finish();
    const { roles, extensions, rows, largeObjects, schema } = this.#reader.finish();
    const isEmpty = rows.size === 0 && largeObjects === 0 && schema === noDefinitions;
    const major = Number.parseInt(this.#version, 10);
    return {
      roles,
      extensions,
      tablespaces: [...this.#tablespaces],
      tables: [...rows.keys()],
      filled: new Set(this.#filled.finish().rows.keys()),
      isEmpty,
      statements: this.#statements,
      encoding: this.#encoding,
      major: Number.isNaN(major) ? undefined : major,
    };
  }

  #readStatement(text: string, sha256: string): void {
    this.#reader.addStatement(text, sha256);
    if (databaseStatement.test(text)) this.#statements.push(text);
    const tablespace = readTablespace(text);
    if (tablespace !== undefined) this.#tablespaces.add(tablespace);
    this.#encoding ??= /^SET client_encoding = '([^']*)'$/.exec(text)?.[1];
  }
}

function readTablespace(statement: string): string | undefined {
  const [, name = "", plain = ""] = /^SET default_tablespace = (?:'((?:[^']|'')*)'|"?([^";]+)"?)$/.exec(statement) ?? [];
  const text = name === "" ? plain : name.replaceAll("''", "'");
  // Written as a name in a literal.
  const unquoted = text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
  return unquoted === "" ? undefined : unquoted;
}
