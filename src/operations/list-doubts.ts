import type { CatalogBackup } from "../catalog/contract.ts";

/** Why a backup is not plainly good. */
export function listDoubts(backup: CatalogBackup): readonly string[] {
  return [
    ...(backup.verifiedAtMs === null ? ["unverified"] : []),
    ...(backup.status === "partial" ? ["partial"] : []),
    ...(backup.suspect.length > 0 && backup.accepted === null && backup.class === "backup" ? ["suspect"] : []),
    ...(backup.damaged === null ? [] : ["damaged"]),
  ];
}
