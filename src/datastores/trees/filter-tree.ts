import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { StoredEntry } from "../contract.ts";
import type { PathSelection } from "../../base/path-selection.ts";
import { escapePath } from "./raw-path.ts";
import type { MemberHeader, MemberType } from "./tar-header.ts";
import { type MemberFate, TarReader } from "./tar-reader.ts";
import { type SpecialFiles, TreeSummary } from "./tree-summary.ts";

/** What of a stored tree is meant. Found by reading it to its end once. */
export interface FoundMembers {
  /** Chosen members but for directories, and what their hard links lead to. Paths by their bytes, as latin1. */
  readonly wanted: ReadonlyMap<string, { readonly type: MemberType; readonly bytes: number; readonly link: string | undefined }>;
  readonly directories: ReadonlySet<string>;
  /** Which of the wanted were chosen themselves. */
  readonly chosen: ReadonlySet<string>;
}

/** Looks for the chosen members. The archive is refused as a whole where any of it is hostile or damaged. */
export async function findMembers(entry: StoredEntry, selection: PathSelection, signal: AbortSignal): Promise<FoundMembers> {
  const wanted = new Map<string, { readonly type: MemberType; readonly bytes: number; readonly link: string | undefined }>();
  const directories = new Set<string>();
  using summary = new TreeSummary({ special: { devices: false, setId: false } });
  const reader = new TarReader(
    {
      header(header) {
        const fate = summary.header(header);
        const path = readInner(header.path);
        const key = path.toString("latin1");
        if (path.length === 0 || !selection.has(path)) return fate;
        if (header.type === "directory") directories.add(key);
        else wanted.set(key, { type: header.type, bytes: header.bytes, link: readLink(header) });
        return fate;
      },
      end: () => undefined,
    },
    "pass",
  );
  for await (const chunk of entry.open(signal)) {
    if (signal.aborted) throw createAbortError(signal, "Looking into the tree was stopped");
    reader.push(chunk);
  }
  reader.end();
  const chosen = new Set(wanted.keys());
  for (const [, { link }] of Array.from(wanted))
    if (link !== undefined && !wanted.has(link)) wanted.set(link, { type: "file", bytes: 0, link: undefined });
  return { wanted, directories, chosen };
}

/**
 * The tar of the found members with all directories above them, so that it is a tree of its own. `contents`, valid at its end, tells what it
 * holds by its own bytes.
 */
export function filterTree(
  entry: StoredEntry,
  { wanted, directories }: FoundMembers,
  special: SpecialFiles,
  signal: AbortSignal,
): { readonly pieces: AsyncIterable<Uint8Array>; readonly contents: () => Contents } {
  const above = new Set(directories);
  for (const path of [...wanted.keys(), ...directories])
    for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) above.add(path.slice(0, slash));
  let told: Contents | undefined;
  async function* read(): AsyncGenerator<Uint8Array, void, undefined> {
    using whole = new TreeSummary({ special });
    using chosen = new TreeSummary();
    const reader = new TarReader(
      {
        header(header): MemberFate {
          const fate = whole.header(header);
          const key = readInner(header.path).toString("latin1");
          const isMeant = key === "" || (header.type === "directory" ? above.has(key) : wanted.has(key));
          return isMeant ? fate : "drop";
        },
        end: () => undefined,
      },
      "pass",
    );
    for await (const chunk of entry.open(signal)) {
      const passed = Buffer.concat(reader.push(chunk));
      chosen.reader.push(passed);
      yield passed;
    }
    reader.end();
    told = chosen.finish();
  }
  return {
    pieces: read(),
    contents() {
      if (told === undefined) throw new HoldfastError("internal", "Bug: a tree was not read to its end");
      return told;
    },
  };
}

export function createUnmetError(unmet: readonly string[], name: string): HoldfastError {
  return new HoldfastError(
    "unknown-name",
    `The backup has nothing in "${name}" that matches ${unmet.map((text) => escapePath(text)).join(", ")}`,
    {
      hint: `\`holdfast extract BACKUP ${name}\` lists what it has.`,
    },
  );
}

/** The members of a tree are known to begin with `./`. */
function readInner(stored: Buffer): Buffer {
  return stored.subarray(2, stored.length > 2 && stored.at(-1) === 0x2f ? -1 : undefined);
}

function readLink(header: MemberHeader): string | undefined {
  return header.type === "hardlink" && header.link !== undefined ? readInner(header.link).toString("latin1") : undefined;
}
