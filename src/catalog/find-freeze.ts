import type { CatalogFile } from "./catalog-file.ts";
import type { Freeze } from "./contract.ts";
import { createWhere, madeBy } from "./create-where.ts";
import { isGood, isPresent } from "./good-backup.ts";

interface Row {
  readonly id: string;
  readonly name: string;
  readonly suspect: string;
  readonly accepted: 0 | 1;
  readonly good: 0 | 1;
}

/** Acceptance may stand in the events file of one copy only, and one copy may be damaged: a backup is judged over all its copies. */
const createSql = (where: string): string => `
  SELECT id, name, record -> 'suspect' AS suspect, max(record ->> 'accepted' IS NOT NULL) AS accepted, max(${isGood}) AS good
  FROM backups ${where} AND class = 'backup' AND ${isPresent}
  GROUP BY id ORDER BY max(created_at_ms) DESC, max(job_sequence) DESC, id DESC`;

export function findFreeze(file: CatalogFile, job: string, host: string | undefined): Freeze | undefined {
  const { where, values } = createWhere([
    ["job = ?", job],
    [madeBy, host],
  ]);
  let freeze: Freeze | undefined;
  for (const { id, name, suspect, accepted, good } of file.all(createSql(where), ...values) as readonly Row[]) {
    if (accepted === 1 || good === 1) break;
    const reasons = JSON.parse(suspect) as readonly string[];
    if (reasons.length > 0) freeze ??= { reason: `${name} is suspect: ${reasons.join("; ")}`, backupId: id };
  }
  return freeze;
}
