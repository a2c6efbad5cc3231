import { AlarmTable } from "./alarm-table.ts";
import { AuditTable } from "./audit-table.ts";
import { BackupTable } from "./backup-table.ts";
import { CatalogFile } from "./catalog-file.ts";
import type { Catalog } from "./contract.ts";
import { MetaTable } from "./meta-table.ts";
import { migrations } from "./migrations.ts";
import { RestoreTable } from "./restore-table.ts";
import { RunTable } from "./run-table.ts";
import { SlotTable } from "./slot-table.ts";
import { StatisticsReader } from "./statistics-reader.ts";

/** "HFCA": tells a catalog from any other SQLite database. */
const applicationId = 0x48_46_43_41;

export interface CatalogOptions {
  readonly path: string;
  /** `create` at the first start and for a rebuild only; `refuse` by default, because an empty catalog must never stand in for a lost one. */
  readonly whenMissing?: "create" | "refuse";
}

/** Opens the catalog. @throws state-corrupt, state-newer, no-space, busy */
export function openCatalog({ path, whenMissing = "refuse" }: CatalogOptions): Catalog {
  const file = new CatalogFile({ path, title: "catalog", applicationId, migrations }, whenMissing);
  return {
    backups: new BackupTable(file),
    runs: new RunTable(file),
    slots: new SlotTable(file),
    audit: new AuditTable(file),
    restores: new RestoreTable(file),
    alarms: new AlarmTable(file),
    statistics: new StatisticsReader(file),
    meta: new MetaTable(file),
    revisionOf: (subject) => file.revisionOf(subject),
    transact: (work) => file.transact(work),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}
