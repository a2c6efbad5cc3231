import { HoldfastError } from "../base/errors.ts";
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

export function createDoubtError(name: string, doubts: readonly string[]): HoldfastError {
  return new HoldfastError("backup-unverified", `The backup ${name} is ${doubts.join(" and ")}`, {
    hint: "Restore `latest`, or say --accept-doubtful to take it as it is.",
  });
}
