import { pickDefined } from "../base/pick-defined.ts";
import type { CatalogFile } from "./catalog-file.ts";
import type { CatalogBackup, JobStatistics, Run, Statistics } from "./contract.ts";
import { createWhere, madeBy } from "./create-where.ts";
import { isPresent, isVerifiedGood, newestFirst } from "./good-backup.ts";

interface Totals {
  readonly backups: number;
  readonly copies: number;
  readonly storedBytes: number;
  readonly preRestoreBackups: number;
  readonly preRestoreBytes: number;
  readonly lastVerifiedAtMs: number | null;
}

const totals = `
  count(DISTINCT id) FILTER (WHERE class = 'backup') AS backups,
  count(*) FILTER (WHERE class = 'backup') AS copies,
  coalesce(sum(record ->> 'storedBytes') FILTER (WHERE class = 'backup'), 0) AS storedBytes,
  count(DISTINCT id) FILTER (WHERE class = 'pre-restore') AS preRestoreBackups,
  coalesce(sum(record ->> 'storedBytes') FILTER (WHERE class = 'pre-restore'), 0) AS preRestoreBytes,
  max(record ->> 'verifiedAtMs') FILTER (WHERE class = 'backup') AS lastVerifiedAtMs`;

export class StatisticsReader implements Statistics {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  read(job: string, host?: string): JobStatistics {
    const { where, values } = createWhere([
      ["job = ?", job],
      [madeBy, host],
    ]);
    const findFirst = (condition: string, order = newestFirst): CatalogBackup | undefined => {
      const sql = `SELECT record FROM backups ${where} AND class = 'backup' AND ${isPresent} AND ${condition} ORDER BY ${order} LIMIT 1`;
      return this.#file.records(sql, ...values)[0] as CatalogBackup | undefined;
    };
    const counted = this.#file.get(`SELECT ${totals} FROM backups ${where} AND ${isPresent}`, ...values) as Totals;
    const lastRunSql = "SELECT record FROM runs WHERE job = ? AND kind = 'backup' ORDER BY sequence DESC LIMIT 1";
    return pickDefined({
      ...counted,
      oldest: findFirst("TRUE", "created_at_ms, job_sequence, id, sequence"),
      newest: findFirst("TRUE"),
      newestGood: findFirst(isVerifiedGood),
      lastVerifiedAtMs: counted.lastVerifiedAtMs ?? undefined,
      lastDrilled: findFirst("record ->> 'drilledAtMs' IS NOT NULL", `record ->> 'drilledAtMs' DESC, ${newestFirst}`),
      lastRun: this.#file.records(lastRunSql, job)[0] as Run | undefined,
    } satisfies OrUndefined<JobStatistics>);
  }
}

type OrUndefined<Value> = { readonly [Key in keyof Required<Value>]: Value[Key] | undefined };
