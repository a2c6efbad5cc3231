import { countPlainBytes, countStoredBytes, type Manifest } from "../archive/manifest.ts";
import { foldEvents, type BackupEvent } from "../archive/events.ts";
import type { CatalogBackup } from "../catalog/contract.ts";

interface Found {
  readonly destination: string;
  readonly folder: string;
  readonly manifestKey: string;
  readonly manifestSha256: string;
  readonly manifest: Manifest;
}

/** What the catalog keeps of a published backup. */
export function describeBackup(
  { destination, folder, manifestKey, manifestSha256, manifest }: Found,
  events: readonly BackupEvent[],
): CatalogBackup {
  const marks = foldEvents(events, manifest.finishedAt);
  return {
    id: manifest.id,
    job: manifest.job,
    class: manifest.class,
    destination,
    folder,
    name: manifest.name,
    layout: manifest.layout,
    manifestKey,
    manifestSha256,
    sequence: manifest.sequence,
    createdAtMs: Date.parse(manifest.createdAt),
    finishedAtMs: Date.parse(manifest.finishedAt),
    status: manifest.status,
    suspect: manifest.suspect,
    note: manifest.note,
    trigger: manifest.trigger,
    storedBytes: countStoredBytes(manifest),
    plainBytes: countPlainBytes(manifest),
    members: manifest.members.map(({ datastore, kind, status, entries }) => ({
      datastore,
      kind,
      status,
      plainBytes: entries.reduce((sum, entry) => sum + entry.plain.bytes, 0),
      storedBytes: entries.reduce((sum, entry) => sum + entry.stored.bytes, 0),
      entries: entries.length,
    })),
    pinned: marks.pinned,
    verifiedAtMs: marks.verifiedAt === null ? null : Date.parse(marks.verifiedAt),
    drilledAtMs: marks.drilledAt === null ? null : Date.parse(marks.drilledAt),
    drillMs: marks.drillMs,
    damaged: marks.damaged,
    accepted: marks.accepted,
    missingSinceMs: null,
  };
}
