import { countPlainBytes, countStoredBytes, type Manifest, type ManifestMember } from "../archive/manifest.ts";
import { foldEvents, type BackupEvent } from "../archive/events.ts";
import { countItems, type Contents } from "../base/contents.ts";
import { pickDefined } from "../base/pick-defined.ts";
import type { BackupMarks, CatalogBackup, CatalogMember } from "../catalog/contract.ts";

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
  return {
    id: manifest.id,
    job: manifest.job,
    host: manifest.host,
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
    members: manifest.members.map(({ datastore, kind, status, entries, contents, snapshot }) => ({
      datastore,
      kind,
      status,
      plainBytes: entries.reduce((sum, entry) => sum + entry.plain.bytes, 0),
      storedBytes: entries.reduce((sum, entry) => sum + entry.stored.bytes, 0),
      entries: entries.length,
      ...describeItems(contents),
      ...describeSnapshot(snapshot),
    })),
    ...describeGroup(manifest.group),
    ...describeMarks(events, manifest.finishedAt),
  };
}

function describeSnapshot(snapshot: ManifestMember["snapshot"]): Pick<CatalogMember, "snapshot"> {
  if (snapshot === undefined) return {};
  const { at, copying, heldMs } = snapshot;
  return { snapshot: { atMs: Date.parse(at), copying, ...pickDefined({ heldMs }) } };
}

function describeGroup(group: Manifest["group"]): Pick<CatalogBackup, "group"> {
  if (group === undefined) return {};
  const { firstAt, lastAt, frozenMs } = group;
  return { group: { firstAtMs: Date.parse(firstAt), lastAtMs: Date.parse(lastAt), frozenMs } };
}

function describeItems(contents: Contents): { readonly items?: number } {
  const items = countItems(contents);
  return items === undefined ? {} : { items };
}

/** What the events of a backup that is at its destination add up to. */
export function describeMarks(events: readonly BackupEvent[], publishedAt: string): BackupMarks {
  const { pinned, verifiedAt, drilledAt, drillMs, damaged, accepted } = foldEvents(events, publishedAt);
  return {
    pinned,
    verifiedAtMs: verifiedAt === null ? null : Date.parse(verifiedAt),
    drilledAtMs: drilledAt === null ? null : Date.parse(drilledAt),
    drillMs,
    damaged,
    accepted,
    missingSinceMs: null,
  };
}
