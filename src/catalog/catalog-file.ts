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

  /** The caller says what the columns are. */
  all<Row>(sql: string, ...values: readonly Cell[]): readonly Row[] {
    return withStateErrors(this.#file, () => this.#prepare(sql).all(...values) as Row[]);
  }

  get<Row>(sql: string, ...values: readonly Cell[]): Row | undefined {
    return withStateErrors(this.#file, () => this.#prepare(sql).get(...values) as Row | undefined);
  }

  /** For statements that select the one column `record`. */
  records<Value>(sql: string, ...values: readonly Cell[]): readonly Value[] {
    return this.all<{ readonly record: string }>(sql, ...values).map(({ record }) => JSON.parse(record) as Value);
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
