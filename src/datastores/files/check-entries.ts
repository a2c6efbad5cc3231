import { createHash } from "node:crypto";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { checkTree } from "../trees/check-tree.ts";

/** Reads stored entries to their end. A tree gets an index in the staging directory. Throws `backup-damaged`. */
export async function checkEntries(entries: AsyncIterable<StoredEntry>, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  const digests: Record<string, string> = {};
  let bytes = 0;
  let tree: CheckResult | undefined;
  for await (const entry of entries) {
    if (tree !== undefined || (entry.form === "tree" && Object.keys(digests).length > 0)) {
      throw new HoldfastError("backup-damaged", `Cannot read "${entry.name}": a member of kind files has either one tree or single files`);
    }
    if (entry.form === "tree") tree = await checkTree(entry, context, signal);
    else {
      const hashed = await hashEntry(entry, signal);
      digests[`file.${entry.name}`] = hashed.sha256;
      bytes += hashed.bytes;
      context.progress({ phase: "check", bytes });
    }
  }
  return tree ?? { contents: describeFiles(digests, bytes), notes: [] };
}

export function describeFiles(digests: Readonly<Record<string, string>>, bytes: number): Contents {
  return { counts: { files: Object.keys(digests).length, bytes }, digests, facts: {} };
}

async function hashEntry(entry: StoredEntry, signal: AbortSignal): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of entry.open(signal)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  if (bytes !== entry.bytes)
    throw new HoldfastError("backup-damaged", `Cannot read "${entry.name}": it has ${bytes} bytes instead of ${entry.bytes}`);
  return { sha256: hash.digest("hex"), bytes };
}
