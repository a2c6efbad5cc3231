import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import type { DumpEntry, DumpFacts } from "../contract.ts";
import { dumpTree } from "./dump-tree.ts";
import { explainStagingFault } from "./explain-fault.ts";

interface StagedTree {
  readonly entry: Omit<DumpEntry, "body" | "finish">;
  readonly path: string;
  readonly bytes: number;
  /** What happened while it was copied. */
  readonly told: readonly Note[];
}

/** A tree as it was at one time, as a tar in the staging directory: owners, links, holes and extended attributes are in it. */
export interface TreeSnapshot {
  /** Absent for an optional tree that was not there. */
  readonly tree: StagedTree | undefined;
  readonly facts: DumpFacts;
}

/** @param staged told the file in the staging directory before it is made */
export async function snapshotTree(
  dump: Parameters<typeof dumpTree>[0],
  staged: (path: string) => void,
  signal: AbortSignal,
): Promise<TreeSnapshot> {
  const path = join(dump.context.stagingDir, "tree.tar");
  staged(path);
  const steps = dumpTree(dump, signal);
  let tree: StagedTree | undefined;
  let step = await steps.next();
  for (; step.done !== true; step = await steps.next()) tree = await stageEntry(step.value, path, signal);
  return { tree, facts: step.value };
}

async function stageEntry(dumped: DumpEntry, path: string, signal: AbortSignal): Promise<StagedTree> {
  const { name, form, sourcePath, body } = dumped;
  if (body.kind === "file") throw new HoldfastError("internal", "Bug: a tree was staged already");
  await writeStaged(path, body.open(signal));
  return { entry: { name, form, sourcePath }, path, bytes: (await stat(path)).size, told: await dumped.finish() };
}

/** Faults of the source pass as they are, those of the staging directory are told as such. */
async function writeStaged(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const fail = (error: unknown): never => {
    throw explainStagingFault(error, path);
  };
  await using file = await open(path, "wx", 0o600).catch(fail);
  for await (const piece of pieces) await file.writeFile(piece).catch(fail);
}

/** The tar is removed when it has been read, or given up. */
export async function* dumpTreeSnapshot({ tree, facts }: TreeSnapshot): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  if (tree === undefined) return facts;
  const { entry, path, bytes, told } = tree;
  try {
    yield { ...entry, body: { kind: "file", path, bytes }, finish: () => Promise.resolve(told) };
  } finally {
    await rm(path, { force: true });
  }
  return facts;
}
