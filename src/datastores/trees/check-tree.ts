import { join } from "node:path";
import { createAbortError } from "../../base/subprocess.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { explainSpace } from "./explain-fault.ts";
import { checkPieces } from "./read-tree.ts";
import { TreeSummary } from "./tree-summary.ts";

/** Reads a stored tree to its end, and not what is in its files. @throws backup-damaged for one that must not be unpacked */
export async function refuseHostileTree(entry: StoredEntry, signal: AbortSignal): Promise<void> {
  for await (const _ of checkPieces(entry, { devices: true, setId: true }, signal)) signal.throwIfAborted();
}

/** Reads a stored tree to its end and writes its index into the staging directory. Throws `backup-damaged`. */
export async function checkTree(entry: StoredEntry, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  const indexPath = join(context.stagingDir, "index.jsonl");
  try {
    using summary = new TreeSummary({ indexPath });
    for await (const chunk of entry.open(signal)) {
      if (signal.aborted) throw createAbortError(signal, "The check was stopped");
      summary.reader.push(chunk);
      context.progress({ phase: "check", bytes: summary.reader.bytes, totalBytes: entry.bytes });
    }
    return { contents: summary.finish(), notes: [], indexPath };
  } catch (error) {
    throw explainSpace(error, `Cannot check "${entry.name}"`);
  }
}
