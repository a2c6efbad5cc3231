import type { BackupReader } from "../../archive/backup-reader.ts";
import { pipeProgram } from "../../archive/convert-bytes.ts";
import type { ManifestMember } from "../../archive/manifest.ts";
import { countPadding, createHeader, endBlocks } from "../../archive/tar-frames.ts";
import { HoldfastError } from "../../base/errors.ts";
import { selectPaths } from "../../base/path-selection.ts";
import type { StoredEntry } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";

type OpenBytes = (signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** What was asked for of a backup. Whatever of it is read ends normally only when all its hashes agree. */
export interface Extraction {
  /** `name`: one file, called by its name; `match`: one file, found by a glob; `many`: several, or directories. */
  readonly extent: "name" | "match" | "many";
  /** For people, of several. */
  readonly summary: string;
  /** The plain bytes of the one file; absent for several. */
  readonly content?: OpenBytes;
  /** All of it as one plain tar: of a whole tree as it is stored. */
  readonly tar: OpenBytes;
  /** A tar of the same that may be unpacked: every header of it has been checked, and device nodes and set-id bits are left out. */
  readonly unpacked: OpenBytes;
}

/**
 * Chooses what to read, by the manifest; of a tree by reading it once.
 * @param path an entry's name, a path in a tree, or a glob; without it the member as it is
 * @throws unknown-name, backup-incomplete, backup-damaged
 */
export async function chooseEntries(
  reader: BackupReader,
  member: ManifestMember,
  path: string | undefined,
  signal: AbortSignal,
): Promise<Extraction> {
  const entries: StoredEntry[] = [];
  for await (const entry of reader.readMember(member)) entries.push(entry);
  const [first] = entries;
  if (first === undefined) throw createEmptyError(reader, member);
  const tree = entries.find(({ form }) => form === "tree");
  if (tree !== undefined) return await chooseInTree(member, tree, path, signal);
  const named = path === undefined && entries.length === 1 ? first : entries.find(({ name }) => name === path);
  if (named !== undefined) return describeFiles([named], "name");
  const selection = path === undefined ? undefined : selectPaths([path], "/");
  const chosen = entries.filter(({ name }) => selection?.has(name) ?? true);
  if (chosen.length === 0) throw createUnknownError(member, path ?? "");
  return describeFiles(chosen, chosen.length === 1 ? "match" : "many");
}

async function chooseInTree(member: ManifestMember, tree: StoredEntry, path: string | undefined, signal: AbortSignal): Promise<Extraction> {
  const { selectInTree } = findDatastoreDriver(member.kind);
  if (selectInTree === undefined) throw createUnknownError(member, path ?? tree.name);
  if (path === undefined || path === tree.name) {
    const unpacked: OpenBytes = async function* (inner) {
      yield* (await selectInTree(tree, "*", inner)).open(inner);
    };
    return { extent: "many", summary: "a tree", tar: tree.open, unpacked };
  }
  const { files, others, byName, open } = await selectInTree(tree, path, signal);
  if (files + others === 0) throw createUnknownError(member, path);
  const summary = `${files} ${files === 1 ? "file" : "files"}${others === 0 ? "" : ` and ${others} directories and links`}`;
  if (files !== 1 || others > 0) return { extent: "many", summary, tar: open, unpacked: open };
  return {
    extent: byName ? "name" : "match",
    summary,
    tar: open,
    unpacked: open,
    // It knows holes.
    content: (inner) => pipeProgram("tar", ["--extract", "--to-stdout", "--file=-", "--blocking-factor=128"], open, inner),
  };
}

function describeFiles(entries: readonly StoredEntry[], extent: Extraction["extent"]): Extraction {
  const [only] = entries;
  // Framed here, of plain files whose names the manifest's schema lets through.
  const tar: OpenBytes = (signal) => frameEntries(entries, signal);
  return {
    extent,
    summary: `${entries.length} files`,
    tar,
    unpacked: tar,
    ...(entries.length === 1 && only !== undefined ? { content: only.open } : {}),
  };
}

async function* frameEntries(entries: readonly StoredEntry[], signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { name, bytes, attributes, open } of entries) {
    const mtimeMs = attributes === undefined ? 0 : Number(BigInt(attributes.mtimeNs) / 1_000_000n);
    yield await createHeader({ name, bytes, mode: attributes?.mode ?? 0o600, mtimeMs });
    yield* open(signal);
    yield new Uint8Array(countPadding(bytes));
  }
  yield endBlocks;
}

function createEmptyError({ manifest }: BackupReader, { datastore, status }: ManifestMember): HoldfastError {
  if (status === "absent") return new HoldfastError("unknown-name", `"${datastore}" was not there when ${manifest.name} was made`);
  return new HoldfastError("backup-incomplete", `The backup ${manifest.name} does not hold "${datastore}": it was left out`, {
    hint: "Use another backup.",
  });
}

function createUnknownError({ datastore, kind, entries }: ManifestMember, path: string): HoldfastError {
  const able = findDatastoreDriver(kind).parts;
  const names = entries.slice(0, 5).map(({ name }) => name);
  return new HoldfastError("unknown-name", `The backup has no ${JSON.stringify(path)} in "${datastore}"`, {
    hint:
      able === "tables"
        ? `It has: ${names.join(", ")}. A table comes back with \`holdfast restore … --only ${datastore} --table ${path}\`.`
        : `\`holdfast extract BACKUP ${datastore}\` lists what it has.`,
  });
}
