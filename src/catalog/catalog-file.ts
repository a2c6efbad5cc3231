import type Database from "better-sqlite3";
import { openStateFile, type StateFile, withStateErrors } from "../base/open-state-file.ts";

export type Cell = string | number | null;

/** The catalog's open file: every statement goes through here, so that every error says what to do. */
export class CatalogFile implements Disposable {
  readonly #file: StateFile;
  readonly #database: Database.Database;
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

  /** Rows changed since it was opened; there is no other writer. */
  get revision(): number {
    return (this.get("SELECT total_changes() AS changes") as { readonly changes: number }).changes;
  }

  transact<Result>(work: () => Result): Result {
    return withStateErrors(this.#file, () => this.#database.transaction(work).immediate());
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
