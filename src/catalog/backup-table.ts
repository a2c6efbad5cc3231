import { isDeepStrictEqual } from "node:util";
import { HoldfastError } from "../base/errors.ts";
import { collectItems, collectRatios, collectSizes } from "./collect-sizes.ts";
import type { CatalogFile, Cell } from "./catalog-file.ts";
import type {
  BackupFilter,
  BackupHistory,
  BackupMarks,
  Backups,
  BackupScope,
  CatalogBackup,
  DestinationChanges,
  Freeze,
} from "./contract.ts";
import { createWhere, madeBy } from "./create-where.ts";
import { findFreeze } from "./find-freeze.ts";
import { isMeasure, newestFirst } from "./good-backup.ts";
import { resolveBackup } from "./resolve-backup.ts";

export class BackupTable implements Backups {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  put(backup: CatalogBackup): void {
    const sql = "INSERT INTO backups (record) VALUES (?) ON CONFLICT (destination, id) DO UPDATE SET record = excluded.record";
    this.#file.run(sql, JSON.stringify(backup));
    this.#file.touch(`job:${backup.job}`);
  }

  mark(destination: string, id: string, marks: Partial<BackupMarks>): CatalogBackup | undefined {
    return this.#file.transact(() => {
      const known = this.get(destination, id);
      if (known === undefined) return undefined;
      const backup = { ...known, ...marks };
      this.put(backup);
      return backup;
    });
  }

  remove(destination: string, id: string): boolean {
    const known = this.get(destination, id);
    if (known !== undefined) this.#file.touch(`job:${known.job}`);
    return this.#file.run("DELETE FROM backups WHERE destination = ? AND id = ?", destination, id) > 0;
  }

  get(destination: string, id: string): CatalogBackup | undefined {
    return this.#select("WHERE destination = ? AND id = ?", destination, id)[0];
  }

  find({ job, destination, class: wantedClass, datastore, host, limit = -1 }: BackupFilter = {}): readonly CatalogBackup[] {
    const { where, values } = createWhere([
      ["job = ?", job],
      ["destination = ?", destination],
      ["class = ?", wantedClass],
      ["EXISTS (SELECT 1 FROM json_each(record, '$.members') WHERE value ->> 'datastore' = ?)", datastore],
      [madeBy, host],
    ]);
    return this.#select(`${where} ORDER BY ${newestFirst} LIMIT ?`, ...values, limit);
  }

  resolve(text: string, scope: BackupScope = {}): CatalogBackup {
    return resolveBackup(this.#file, text, scope);
  }

  replaceDestination(destination: string, backups: readonly CatalogBackup[]): DestinationChanges {
    const stranger = backups.find((backup) => backup.destination !== destination);
    if (stranger !== undefined) {
      throw new HoldfastError("internal", `Bug: ${stranger.name} is of destination "${stranger.destination}", not "${destination}"`);
    }
    return this.#file.transact(() => {
      const known = new Map(this.find({ destination }).map((backup) => [backup.id, backup]));
      const read = dropTwins(backups, known);
      const added = read.filter(({ id }) => !known.has(id));
      const changed = read.filter((backup) => known.has(backup.id) && !isDeepStrictEqual(known.get(backup.id), backup));
      for (const backup of [...added, ...changed]) this.put(backup);
      const there = new Set(read.map(({ id }) => id));
      const vanished = [...known.values()].filter(({ id }) => !there.has(id));
      for (const { id } of vanished) this.remove(destination, id);
      return { added, changed, vanished };
    });
  }

  readHistory({ job, destination, host }: Parameters<Backups["readHistory"]>[0], limit: number): BackupHistory {
    const { where, values } = createWhere([
      ["job = ?", job],
      ["destination = ?", destination],
      [madeBy, host],
    ]);
    const [last] = this.#select(`${where} ORDER BY job_sequence DESC, ${newestFirst} LIMIT 1`, ...values);
    const measures = this.#select(`${where} AND ${isMeasure} ORDER BY ${newestFirst} LIMIT ?`, ...values, limit);
    const { sequence = 0, manifestSha256: previous = null } = last ?? {};
    return { sequence, previous, sizes: collectSizes(measures), items: collectItems(measures), ratios: collectRatios(measures) };
  }

  findFreeze(job: string, host?: string): Freeze | undefined {
    return findFreeze(this.#file, job, host);
  }

  #select(tail: string, ...values: readonly Cell[]): readonly CatalogBackup[] {
    return this.#file.records(`SELECT record FROM backups ${tail}`, ...values) as readonly CatalogBackup[];
  }
}

/** A backup that was copied by hand within its destination stands there twice under one id: the one already known stays, else the first. */
function dropTwins(backups: readonly CatalogBackup[], known: ReadonlyMap<string, CatalogBackup>): readonly CatalogBackup[] {
  const byId = new Map<string, CatalogBackup>();
  for (const backup of backups) {
    if (!byId.has(backup.id) || known.get(backup.id)?.manifestKey === backup.manifestKey) byId.set(backup.id, backup);
  }
  return [...byId.values()];
}
