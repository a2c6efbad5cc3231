import { HoldfastError } from "../base/errors.ts";
import type { CatalogFile, Cell } from "./catalog-file.ts";
import type { Restore, RestoreFilter, Restores } from "./contract.ts";
import { createWhere } from "./create-where.ts";

export class RestoreTable implements Restores {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  put(restore: Restore): void {
    const sql = "INSERT INTO restores (record) VALUES (?) ON CONFLICT (id) DO UPDATE SET record = excluded.record";
    this.#file.run(sql, JSON.stringify(restore));
  }

  update(id: string, change: Partial<Omit<Restore, "id">>): Restore {
    return this.#file.transact(() => {
      const known = this.get(id);
      if (known === undefined) throw new HoldfastError("unknown-name", `There is no restore ${id}`);
      const restore = { ...known, ...change };
      this.put(restore);
      return restore;
    });
  }

  get(id: string): Restore | undefined {
    return this.#select("WHERE id = ?", id)[0];
  }

  list({ job, states, limit = -1 }: RestoreFilter = {}): readonly Restore[] {
    const { where, values } = createWhere([
      ["job = ?", job],
      ["state IN (SELECT value FROM json_each(?))", states],
    ]);
    return this.#select(`${where} ORDER BY sequence DESC LIMIT ?`, ...values, limit);
  }

  #select(tail: string, ...values: readonly Cell[]): readonly Restore[] {
    return this.#file.records(`SELECT record FROM restores ${tail}`, ...values) as readonly Restore[];
  }
}
