import { isDeepStrictEqual } from "node:util";
import { eventsKey, parseManifestKey } from "../archive/backup-keys.ts";
import { openBackup } from "../archive/backup-reader.ts";
import { parseEvents, type BackupEvent } from "../archive/events.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { CatalogBackup, DestinationChanges } from "../catalog/contract.ts";
import type { Destination } from "../destinations/contract.ts";
import { describeBackup } from "./catalog-backup.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import { noticeIdentity } from "./notice-identity.ts";
import { openDestination } from "./verify.ts";

/** What keeping the catalog needs; the daemon's core, or a rebuild without one. */
export interface CatalogKeeper extends Pick<Core, "config" | "catalog" | "clock"> {
  readonly log: Pick<Core["log"], "warn">;
}

export interface FoundBackups {
  readonly backups: readonly CatalogBackup[];
  /** Manifests that cannot be read: told, and never removed by retention. */
  readonly unreadable: readonly { readonly key: string; readonly reason: string }[];
}

/** Reads every manifest and events file at a destination. An error of the destination is thrown: it never looks like an empty one. */
export async function findBackups(destination: Destination, folder: string, signal: AbortSignal): Promise<FoundBackups> {
  const backups: CatalogBackup[] = [];
  const unreadable: { key: string; reason: string }[] = [];
  for await (const { key } of destination.list(folder, signal)) {
    const place = parseManifestKey(key);
    if (place === undefined) continue;
    try {
      const { manifest, sha256 } = await openBackup(destination, place.folder, key, signal);
      // A folder's own manifest.json that belongs to the data inside another backup.
      if (place.inside !== (manifest.layout === "directory")) continue;
      const found = { destination: destination.name, folder: place.folder, manifestKey: key, manifestSha256: sha256, manifest };
      backups.push(describeBackup(found, await readEvents(destination, { folder: place.folder, name: manifest.name }, signal)));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      if (!["manifest-invalid", "format-unsupported", "backup-damaged", "backup-not-found"].includes(error.code)) throw error;
      unreadable.push({ key, reason: describeCause(error) });
    }
  }
  return { backups, unreadable };
}

/** The events file of a backup; none is fine. */
export async function readEvents(
  destination: Destination,
  backup: { readonly folder: string; readonly name: string },
  signal: AbortSignal,
): Promise<readonly BackupEvent[]> {
  if ((await destination.stat(eventsKey(backup), signal)) === undefined) return [];
  const chunks: Uint8Array[] = [];
  for await (const chunk of destination.get(eventsKey(backup), undefined, signal)) chunks.push(chunk);
  return parseEvents(Buffer.concat(chunks).toString("utf8"));
}

/** Backups that are on record and whose manifest can no longer be read: they are damaged, not gone. */
function findDamaged(core: CatalogKeeper, destination: string, unreadable: FoundBackups["unreadable"]): readonly CatalogBackup[] {
  const known = new Map(core.catalog.backups.find({ destination }).map((backup) => [backup.manifestKey, backup]));
  return unreadable.flatMap(({ key, reason }) => {
    const backup = known.get(key);
    return backup === undefined ? [] : [{ ...backup, damaged: reason, missingSinceMs: null }];
  });
}

/** Makes the catalog say what is at a destination now. */
export async function syncDestination(
  core: CatalogKeeper,
  name: string,
  signal: AbortSignal,
): Promise<DestinationChanges & Pick<FoundBackups, "unreadable">> {
  await using destination = await openDestination(describeDestination(core.config, name));
  // A disk that is not mounted looks like an empty directory: without its marker it says nothing.
  if (!(await destination.probe(signal)).marked) {
    throw new HoldfastError(
      "destination-unmarked",
      `The destination "${name}" has no marker: it was not made yet, or its disk is not mounted`,
      {
        hint: `Mount it, or run \`holdfast destination init ${name}\`.`,
      },
    );
  }
  noticeIdentity(core, name, await destination.identify(signal));
  const before = core.catalog.backups.find({ destination: name });
  const { backups, unreadable } = await findBackups(destination, "", signal);
  const read = [...backups, ...findDamaged(core, name, unreadable)];
  const now = core.catalog.backups.find({ destination: name });
  const changes = core.catalog.backups.replaceDestination(name, preferNews(before, now, read));
  recordVanished(core, name, changes.vanished);
  for (const { key, reason } of unreadable) core.log.warn(`A manifest at "${name}" cannot be read: ${reason}`, { key });
  return { ...changes, unreadable };
}

/** What was put on record while the destination was being read (published, pinned, removed) is newer than what was read. */
function preferNews(
  before: readonly CatalogBackup[],
  now: readonly CatalogBackup[],
  read: readonly CatalogBackup[],
): readonly CatalogBackup[] {
  const [old, current] = [before, now].map((backups) => new Map(backups.map((backup) => [backup.id, backup])));
  const isNews = ({ id }: CatalogBackup): boolean => !isDeepStrictEqual(old?.get(id), current?.get(id));
  return [...read.filter((backup) => !isNews(backup)), ...now.filter(isNews)];
}

/** Tells of backups that somebody else has removed. */
export function recordVanished(core: CatalogKeeper, destination: string, vanished: readonly Pick<CatalogBackup, "id" | "name">[]): void {
  for (const { name, id } of vanished) {
    core.log.warn(`The backup ${name} is no longer at "${destination}": it was removed by somebody else`, { id });
    core.catalog.audit.record({
      atMs: core.clock.now(),
      actor: "outside",
      action: "backup.vanished",
      subject: name,
      outcome: "ok",
      details: { id, destination },
    });
  }
}
