import type { BackupWriter } from "../archive/backup-writer.ts";
import type { ManifestEntry, ManifestMember } from "../archive/manifest.ts";
import { compareContents, emptyContents, type Contents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Note } from "../base/note.ts";
import type { DumpEntry, DumpFacts, StoredEntry } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { createUnreadError, type OpenedSource } from "./open-source.ts";
import type { TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";

export interface CollectedMember {
  readonly member: ManifestMember;
  readonly plainBytes: number;
}

export interface MemberSource extends OpenedSource {
  readonly openWriter: (firstEntry: string) => Promise<BackupWriter>;
  readonly stagingDir: string;
}

/** What has been dumped and stored of a datastore, and not been read back yet. */
export interface StoredMember {
  readonly facts: DumpFacts;
  readonly entries: ManifestEntry[];
  readonly notes: readonly Note[];
  readonly plainBytes: number;
  readonly startedAtMs: number;
}

/** Dumps one datastore into the backup and reads back what was stored. */
export async function collectMember(source: MemberSource, ports: TaskPorts, signal: AbortSignal): Promise<CollectedMember> {
  return await finishMember(source, await storeMember(source, ports, signal), ports, signal);
}

/** Dumps one datastore into the backup. */
export async function storeMember(source: MemberSource, ports: TaskPorts, signal: AbortSignal): Promise<StoredMember> {
  const { datastore, opened } = source;
  const startedAtMs = ports.now();
  const totalBytes = source.facts.estimatedBytes;
  const entries: ManifestEntry[] = [];
  const notes: Note[] = [];
  let plainBytes = 0;
  const dump = opened.dump(signal);
  // Not `for await`: the generator's return value says how it went.
  let step = await dump.next();
  try {
    for (; step.done !== true; step = await dump.next()) {
      const entry: DumpEntry = step.value;
      const writer = await source.openWriter(entry.name);
      const before = plainBytes;
      const onPlain = (bytes: number): void =>
        ports.progress({ phase: "storing", datastore, bytes: before + bytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
      const stored = await writer.store(datastore, entry, onPlain, signal);
      notes.push(...(await entry.finish()));
      entries.push(stored);
      plainBytes += stored.plain.bytes;
    }
  } finally {
    if (step.done !== true) await dump.return({ checked: false, notes: [], absent: false });
  }
  return { facts: step.value, entries, notes: [...notes, ...step.value.notes], plainBytes, startedAtMs };
}

/** Reads back what was stored of one datastore, and gives what the manifest says of it. */
export async function finishMember(
  source: MemberSource,
  { facts, entries, notes: told, plainBytes, startedAtMs }: StoredMember,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<CollectedMember> {
  const { datastore, kind, id } = source;
  const notes: Note[] = [...told];

  if (facts.absent) {
    if (entries.length > 0) throw new HoldfastError("internal", `Bug: "${datastore}" was dumped and called absent`);
    if (source.setup.known === "present") throw createUnreadError(datastore, source.facts.summary);
    return {
      plainBytes: 0,
      member: {
        datastore,
        kind,
        id,
        status: "absent",
        entries: [],
        contents: emptyContents,
        readBack: { hashes: true, format: true },
        index: null,
        notes,
        tookMs: ports.now() - startedAtMs,
      },
    };
  }
  ports.progress({ phase: "reading back", datastore });
  const read = await readBack(source, entries, facts.checked ? facts.contents : undefined, signal);
  notes.push(...read.notes);
  const differences = compareContents(facts.contents ?? read.contents, read.contents);
  if (differences.length > 0) {
    throw new HoldfastError("backup-damaged", `"${datastore}" reads back other than it was dumped: ${differences.slice(0, 5).join("; ")}`, {
      hint: "Run it again; if it repeats, check memory and disks.",
    });
  }
  const status = notes.some(({ level }) => level === "partial") ? "partial" : "ok";
  const member: ManifestMember = {
    datastore,
    kind,
    id,
    status,
    entries,
    contents: facts.contents ?? read.contents,
    readBack: { hashes: true, format: true },
    index: read.index,
    notes,
    tookMs: ports.now() - startedAtMs,
  };
  return { member, plainBytes };
}

/**
 * Reads every stored entry to its end with all hashes. Where the driver has already checked exactly these bytes, equal hashes are proof
 * enough; otherwise the driver reads the format as well.
 */
async function readBack(
  { datastore, kind, openWriter, stagingDir }: MemberSource,
  entries: readonly ManifestEntry[],
  known: Contents | undefined,
  signal: AbortSignal,
): Promise<{ readonly contents: Contents; readonly notes: readonly Note[]; readonly index: string | null }> {
  const writer = await openWriter("");
  if (known !== undefined) {
    for (const entry of entries) for await (const _ of writer.read(entry, signal));
    return { contents: known, notes: [], index: null };
  }
  await using staging = await openStagingDirectory(stagingDir, `${datastore}-check`);
  const stored = async function* (): AsyncGenerator<StoredEntry, void, undefined> {
    for (const entry of entries) {
      const { name, form, sourcePath, attributes, plain } = entry;
      yield {
        name,
        form,
        sourcePath,
        bytes: plain.bytes,
        ...(attributes === undefined ? {} : { attributes }),
        open: (inner) => writer.read(entry, inner),
      };
    }
  };
  const context = { name: datastore, stagingDir: staging.path, progress: () => undefined };
  const { contents, notes, indexPath } = await findDatastoreDriver(kind).check(stored(), context, signal);
  const index = indexPath === undefined ? null : `${datastore}.index.jsonl`;
  if (index !== null && indexPath !== undefined) await writer.addFile(index, indexPath);
  return { contents, notes, index };
}
