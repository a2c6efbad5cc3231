import type Database from "better-sqlite3";
import { openStateFile, type StateFile, withStateErrors } from "../base/open-state-file.ts";
import type { Subject } from "./contract.ts";

export type Cell = string | number | null;

/** The catalog's open file: every statement goes through here, so that every error says what to do. */
export class CatalogFile implements Disposable {
  readonly #file: StateFile;
  readonly #database: Database.Database;
  readonly #touched = new Map<Subject, number>();
  #touchedAll = 0;
  readonly #statements = new Map<string, Database.Statement<Cell[]>>();

  constructor(file: StateFile, whenMissing: "create" | "refuse") {
    this.#file = file;
    this.#database = openStateFile(file, whenMissing);
  }

  /** @returns how many rows changed */
  run(sql: string, ...values: readonly Cell[]): number {
    return withStateErrors(this.#file, () => this.#prepare(sql).run(...values).changes);
  }

  /** The caller knows what the columns are. */
  all(sql: string, ...values: readonly Cell[]): readonly unknown[] {
    return withStateErrors(this.#file, () => this.#prepare(sql).all(...values));
  }

  get(sql: string, ...values: readonly Cell[]): unknown {
    return withStateErrors(this.#file, () => this.#prepare(sql).get(...values));
  }

  /** For statements that select the one column `record`. */
  records(sql: string, ...values: readonly Cell[]): readonly unknown[] {
    const rows = this.all(sql, ...values) as readonly { readonly record: string }[];
    return rows.map(({ record }) => JSON.parse(record) as unknown);
  }

  /** To be called with every change. @param subject undefined: perhaps anything has changed */
  touch(subject: Subject | undefined): void {
    if (subject === undefined) this.#touchedAll += 1;
    else this.#touched.set(subject, (this.#touched.get(subject) ?? 0) + 1);
  }

  revisionOf(subject: Subject): number {
    return this.#touchedAll + (this.#touched.get(subject) ?? 0);
  }

  transact<Result>(work: () => Result): Result {
    try {
      return withStateErrors(this.#file, () => this.#database.transaction(work).immediate());
    } catch (error) {
      // What was read within it may have been computed from changes that never were.
      this.touch(undefined);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #prepare(sql: string): Database.Statement<Cell[]> {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare<Cell[]>(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}
