import type { Contents } from "../../base/contents.ts";
import type { StoredEntry } from "../contract.ts";
import { surveyTree } from "./survey-tree.ts";
import { createListPath, streamTree } from "./tar-program.ts";
import { type SpecialFiles, TreeSummary } from "./tree-summary.ts";

export interface TreeReading {
  readonly oneFileSystem: boolean;
  /** Below the root: what is in the tree but in no backup of it. */
  readonly passedOver: readonly Buffer[];
  readonly stagingDir: string;
}

/** Reads a tree on disk in the very way in which a stored one is checked. */
export async function readTree(root: string, reading: TreeReading, signal: AbortSignal): Promise<Contents> {
  using summary = new TreeSummary();
  const { excluded } = await surveyTree(root, { exclude: [], oneFileSystem: reading.oneFileSystem }, signal);
  const source = {
    root,
    excluded: [...excluded, ...reading.passedOver],
    oneFileSystem: reading.oneFileSystem,
    listPath: createListPath(reading.stagingDir),
  };
  for await (const chunk of streamTree(source, signal)) summary.reader.push(chunk);
  return summary.finish();
}

/** The pieces of a stored tree that may be extracted: each header has been checked before it is passed on. */
export async function* checkPieces(
  entry: StoredEntry,
  special: SpecialFiles,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  using summary = new TreeSummary({ special });
  for await (const chunk of entry.open(signal)) yield Buffer.concat(summary.reader.push(chunk));
  summary.finish();
}
