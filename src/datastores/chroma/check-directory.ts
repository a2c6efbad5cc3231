import { lstat, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { extractMembers } from "../trees/tar-program.ts";
import { TreeSummary } from "../trees/tree-summary.ts";
import { databaseName } from "./data-directory.ts";
import { joinContents } from "./dump-directory.ts";
import { describeContents } from "./examine-copy.ts";
import { runChild } from "./run-child.ts";
import { createPrivateName } from "./scratch-server.ts";

/** Reads a stored directory to its end, and the database in it. No server is started: an index is proven where it was copied, and in drills. */
export async function checkDirectory(entry: StoredEntry, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  const indexPath = join(context.stagingDir, "index.jsonl");
  const place = join(context.stagingDir, createPrivateName("check"));
  await mkdir(place, { mode: 0o700 });
  try {
    using summary = new TreeSummary({ indexPath });
    const pieces = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of entry.open(signal)) {
        if (signal.aborted) throw createAbortError(signal, "The check was stopped");
        summary.reader.push(chunk);
        context.progress({ phase: "check", bytes: summary.reader.bytes, totalBytes: entry.bytes });
        yield chunk;
      }
    };
    await extractMembers(pieces(), place, [`./${databaseName}`], signal).catch((error: unknown) => {
      if (error instanceof HoldfastError && /Not found in archive/.test(error.message)) throw createNoDatabaseError(entry.name);
      throw error;
    });
    const tree = summary.finish();
    const path = join(place, databaseName);
    const stats = await lstat(path);
    // A link could make us read what lies elsewhere.
    if (!stats.isFile() || stats.nlink !== 1) throw createNoDatabaseError(entry.name);
    const examination = await runChild({ op: "examine", path, samples: 1 }, { identity: null }, signal);
    const { counts, digests, facts } = describeContents({ examination, proof: undefined }, 1);
    const { indexes: _, ...known } = facts;
    const notes = examination.problems.map((message) => ({ level: "partial", code: "source-damaged", message }) as const);
    return { contents: joinContents(tree, { counts, digests, facts: known }), notes, indexPath };
  } catch (error) {
    throw explainSpace(error, `Cannot check "${entry.name}"`);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

function createNoDatabaseError(name: string): HoldfastError {
  return new HoldfastError("backup-damaged", `Cannot read "${name}": there is no ${databaseName} in it`);
}
