import { emptyContents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { checkTree } from "../trees/check-tree.ts";
import { readDump } from "./dump-format.ts";
import { requireSingleDump } from "./load-dump.ts";
import { joinContents, pickGraph } from "./prove-copy.ts";

/**
 * Reads stored entries to their end. What the graph in them holds takes a server to tell: that is what the manifest has, where there is one;
 * a drill or a restore counts it again. @throws backup-damaged
 */
export async function checkEntries(entries: AsyncIterable<StoredEntry>, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  let result: CheckResult | undefined;
  for await (const entry of entries) {
    if (result !== undefined) throw new HoldfastError("backup-damaged", `Cannot read "${entry.name}": one file was expected`);
    const read = entry.form === "tree" ? await checkTree(entry, context, signal) : await checkDump(entry, context, signal);
    result = { ...read, contents: joinContents(read.contents, pickGraph(entry.contents)) };
  }
  return result ?? { contents: emptyContents, notes: [] };
}

async function checkDump(entry: StoredEntry, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  let bytes = 0;
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of entry.open(signal)) {
      signal.throwIfAborted();
      bytes += chunk.length;
      context.progress({ phase: "check", bytes, totalBytes: entry.bytes });
      yield chunk;
    }
  }
  if (requireSingleDump(entry, undefined) === "dump") {
    const format = await readDump(pieces(), entry.name);
    return { contents: { counts: { dumpFiles: format.files, dumpBytes: format.bytes }, digests: {}, facts: {} }, notes: [] };
  }
  for await (const _ of pieces());
  return { contents: { counts: { dumpBytes: bytes }, digests: {}, facts: {} }, notes: [] };
}
