import type { CatalogFile } from "./catalog-file.ts";
import type { Alarm, Alarms } from "./contract.ts";

const columns = "since_ms AS sinceMs, last_told_ms AS lastToldMs, detail";

export class AlarmTable implements Alarms {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  get(key: string): Alarm | undefined {
    return this.#file.get(`SELECT ${columns} FROM alarms WHERE key = ?`, key) as Alarm | undefined;
  }

  set(key: string, { sinceMs, lastToldMs, detail }: Alarm): void {
    const sql = `INSERT INTO alarms VALUES (?, ?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET since_ms = excluded.since_ms, last_told_ms = excluded.last_told_ms, detail = excluded.detail`;
    this.#file.run(sql, key, sinceMs, lastToldMs, detail);
  }

  clear(key: string): Alarm | undefined {
    return this.#file.get(`DELETE FROM alarms WHERE key = ? RETURNING ${columns}`, key) as Alarm | undefined;
  }

  list(): ReadonlyMap<string, Alarm> {
    const rows = this.#file.all(`SELECT key, ${columns} FROM alarms ORDER BY key`) as readonly (Alarm & { readonly key: string })[];
    return new Map(rows.map(({ key, ...alarm }) => [key, alarm]));
  }
}
