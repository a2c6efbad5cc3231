import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manifestKey, objectKey, type BackupLocation } from "../../src/archive/backup-keys.ts";
import { openBackup, type BackupReader } from "../../src/archive/backup-reader.ts";
import { BackupWriter, type NewEntry } from "../../src/archive/backup-writer.ts";
import type { Compression } from "../../src/archive/compression.ts";
import { formatInfoFile, formatRestoreText, infoFileNames } from "../../src/archive/info-files.ts";
import type { Manifest, ManifestDraft, ManifestMember } from "../../src/archive/manifest.ts";
import { formatEnding } from "../../src/archive/name-template.ts";
import { emptyContents, type Contents } from "../../src/base/contents.ts";
import { MemoryObjects } from "./memory-objects.ts";

const never = new AbortController().signal;
export const startedAtMs = Date.UTC(2024, 0, 1, 12);

export interface NewMember {
  readonly datastore: string;
  readonly kind?: string;
  readonly status?: ManifestMember["status"];
  readonly contents?: Contents;
  readonly notes?: ManifestMember["notes"];
  readonly entries: readonly NewEntry[];
}

export interface NewBackup {
  readonly layout: Manifest["layout"];
  readonly compression: Compression;
  readonly members: readonly NewMember[];
  readonly stem?: string;
  readonly texts?: "none" | "all";
  readonly draft?: Partial<ManifestDraft>;
  /** Of what the store gives back. */
  readonly chunkBytes?: number;
}

export interface WrittenBackup {
  /** Keys are those that a destination would show. */
  readonly store: MemoryObjects;
  readonly location: BackupLocation;
  readonly key: string;
  readonly manifest: Manifest;
}

/** An entry of bytes, which come in chunks of the given size. */
export function createEntry(name: string, body: Uint8Array, chunkBytes = 1 << 16): NewEntry {
  const open = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = 0; at < body.length; at += chunkBytes) yield await Promise.resolve(body.subarray(at, at + chunkBytes));
  };
  return {
    name,
    form: "file",
    body: { kind: "stream", open },
    sourcePath: `/srv/app/${name}`,
    attributes: { mode: 0o640, uid: 1000, gid: 1000, mtimeNs: "1704067200123456789" },
  };
}

/** Writes a whole backup into memory, as the backup operation does, and reads every entry back on the way. */
export async function writeBackup(backup: NewBackup): Promise<WrittenBackup> {
  const { layout, compression, stem = "backup-2024-01-01T12-00-00" } = backup;
  const name = stem + formatEnding(layout, compression.method, backup.members[0]?.entries[0]?.name ?? "");
  const hidden = new MemoryObjects();
  const spoolDir = await mkdtemp(join(tmpdir(), "holdfast-spool-"));
  try {
    const writer = new BackupWriter({ store: hidden, spoolDir, layout, name, compression, startedAtMs });
    const members: ManifestMember[] = [];
    for (const { datastore, kind = "files", status = "ok", contents = emptyContents, notes = [], entries } of backup.members) {
      const stored = [];
      for (const entry of entries) {
        const one = await writer.store(datastore, entry, () => undefined, never);
        for await (const _ of writer.read(one, never));
        stored.push(one);
      }
      members.push({
        datastore,
        kind,
        id: `${kind}:${datastore}`,
        status,
        entries: stored,
        contents,
        readBack: { hashes: true, format: true },
        index: null,
        notes,
        tookMs: 7,
      });
    }
    const draft = createDraft(members, backup.draft);
    const info = { draft, name, layout, timezone: "UTC" };
    if (backup.texts !== "none") {
      for (const infoFile of infoFileNames) writer.addText(infoFile, formatInfoFile(infoFile, info));
      writer.addText("RESTORE.txt", formatRestoreText(info));
    }
    const { manifest, name: manifestName, body } = await writer.finish(draft, never);
    const location: BackupLocation = { folder: "jobs", name, layout };
    const store = new MemoryObjects(backup.chunkBytes);
    for (const [object, bytes] of hidden.objects) store.objects.set(objectKey(location, object), bytes);
    store.objects.set(objectKey(location, manifestName), Buffer.from(body));
    return { store, location, key: manifestKey(location), manifest };
  } finally {
    await rm(spoolDir, { recursive: true });
  }
}

function createDraft(members: ManifestMember[], draft: Partial<ManifestDraft> = {}): ManifestDraft {
  return {
    id: "01hkz3b4c5d6e7f8g9h0",
    job: "nightly",
    class: "backup",
    sequence: 1,
    previous: null,
    status: "ok",
    suspect: [],
    createdAt: new Date(startedAtMs).toISOString(),
    finishedAt: new Date(startedAtMs + 1000).toISOString(),
    trigger: "schedule",
    note: null,
    host: "duck",
    tools: { holdfast: "0.1.0" },
    members,
    config: {},
    ...draft,
  };
}

export async function openWritten({ store, location, key }: WrittenBackup): Promise<BackupReader> {
  return await openBackup(store, location.folder, key, never);
}

/** Reads everything that a verification reads, and gives the plain bytes by `datastore/entry`. */
export async function readAll(reader: BackupReader): Promise<ReadonlyMap<string, Buffer>> {
  await reader.verifyFrame(never);
  const found = new Map<string, Buffer>();
  for (const member of reader.manifest.members) {
    for await (const entry of reader.readMember(member)) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry.open(never)) chunks.push(chunk);
      found.set(`${member.datastore}/${entry.name}`, Buffer.concat(chunks));
    }
  }
  return found;
}
