import type { CatalogBackup } from "./contract.ts";

/** Plain bytes of each datastore that was backed up whole, newest first. @param good good backups, newest first */
export function collectSizes(good: readonly CatalogBackup[]): Readonly<Record<string, readonly number[]>> {
  const sizes = new Map<string, number[]>();
  for (const { members, suspect } of good.toReversed()) {
    for (const { datastore, status, plainBytes } of members) {
      if (status !== "ok") continue;
      const older = sizes.get(datastore) ?? [];
      // A suspect one among the good was accepted: where it is smaller than the one before, what is older is no measure any more.
      const isNewBeginning = suspect.length > 0 && plainBytes < (older[0] ?? 0);
      sizes.set(datastore, isNewBeginning ? [plainBytes] : [plainBytes, ...older]);
    }
  }
  return Object.fromEntries(sizes);
}
