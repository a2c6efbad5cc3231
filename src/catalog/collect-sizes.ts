import type { BackupHistory, CatalogBackup } from "./contract.ts";

/** Plain bytes of each datastore, newest first. @param backups that others are measured by, newest first */
export function collectSizes(backups: readonly CatalogBackup[]): BackupHistory["sizes"] {
  const sizes = new Map<string, readonly number[]>();
  for (const { members, suspect } of backups.toReversed()) {
    for (const { datastore, status, plainBytes } of members) {
      if (status === "failed") continue;
      const older = sizes.get(datastore) ?? [];
      // A suspect one was accepted: where it is smaller than the one before, what is older is no measure any more.
      const kept = suspect.length > 0 && plainBytes < (older[0] ?? 0) ? [] : older;
      sizes.set(datastore, status === "absent" ? kept : [plainBytes, ...kept]);
    }
  }
  return Object.fromEntries([...sizes].filter(([, bytes]) => bytes.length > 0));
}

/** The worst ratio of stored to plain bytes of each datastore, where stored bytes are known. */
export function collectRatios(backups: readonly CatalogBackup[]): BackupHistory["ratios"] {
  const ratios = new Map<string, number>();
  for (const { datastore, plainBytes, storedBytes } of backups.flatMap(({ members }) => members)) {
    if (storedBytes === undefined || plainBytes === 0) continue;
    ratios.set(datastore, Math.max(ratios.get(datastore) ?? 0, storedBytes / plainBytes));
  }
  return Object.fromEntries(ratios);
}
