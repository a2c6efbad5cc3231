import type { BackupHistory, CatalogBackup, CatalogMember } from "./contract.ts";

/** Plain bytes of each datastore, newest first. @param backups that others are measured by, newest first */
export function collectSizes(backups: readonly CatalogBackup[]): BackupHistory["sizes"] {
  return collectFigures(backups, ({ plainBytes }) => plainBytes);
}

/** The same of rows and keys. */
export function collectItems(backups: readonly CatalogBackup[]): BackupHistory["items"] {
  return collectFigures(backups, ({ items }) => items);
}

function collectFigures(
  backups: readonly CatalogBackup[],
  read: (member: CatalogMember) => number | undefined,
): Readonly<Record<string, readonly number[]>> {
  const sizes = new Map<string, readonly number[]>();
  for (const { members, suspect } of backups.toReversed()) {
    for (const member of members) {
      const { datastore, status } = member;
      const figure = read(member) ?? (status === "absent" ? 0 : undefined);
      if (status === "failed" || figure === undefined) continue;
      const older = sizes.get(datastore) ?? [];
      // A suspect one was accepted: where it is smaller than the one before, what is older is no measure any more.
      const kept = suspect.length > 0 && figure < (older[0] ?? 0) ? [] : older;
      sizes.set(datastore, status === "absent" ? kept : [figure, ...kept]);
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
