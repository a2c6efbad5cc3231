import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { usesBackup } from "./payload.ts";

/** Why a backup should not be removed even on purpose; empty when nothing speaks against it. */
export function planDeletion(core: Core, backup: CatalogBackup): readonly string[] {
  const good = core.catalog.backups
    .find({ job: backup.job, class: "backup" })
    .filter((other) => other.status === "ok" && other.verifiedAtMs !== null && other.damaged === null && other.missingSinceMs === null);
  const last = good.length === 1 && good[0]?.id === backup.id;
  return [
    ...(backup.pinned === null ? [] : [backup.pinned === "" ? "it is pinned" : `it is pinned: ${backup.pinned}`]),
    ...(core.queue.usesOf((payload) => usesBackup(payload, backup.id)).length > 0 ? ["it is in use"] : []),
    ...(last ? [`it is the last verified backup of job "${backup.job}"`] : []),
  ];
}
