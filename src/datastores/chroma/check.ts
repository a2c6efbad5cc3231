import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { CheckResult, DriverContext, StoredEntry } from "../contract.ts";
import { checkDirectory } from "./check-directory.ts";
import { readExport } from "./read-export.ts";

async function checkExport(entry: StoredEntry, { progress }: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  const parts = readExport(entry.open(signal));
  for (let next = await parts.next(); ; next = await parts.next()) {
    if (next.done === true) return { contents: next.value, notes: [] };
    progress({ phase: "check" });
  }
}

/** Reads the stored member to its end. @throws backup-damaged */
export async function checkStored(entries: AsyncIterable<StoredEntry>, context: DriverContext, signal: AbortSignal): Promise<CheckResult> {
  try {
    let result: CheckResult | undefined;
    for await (const entry of entries) {
      if (result !== undefined) throw new HoldfastError("backup-damaged", `"${entry.name}" does not belong to a backup of a Chroma server`);
      result = entry.form === "tree" ? await checkDirectory(entry, context, signal) : await checkExport(entry, context, signal);
    }
    if (result === undefined) throw new HoldfastError("backup-incomplete", "the backup has no entry");
    return result;
  } catch (error) {
    throw prefixError(`Cannot check "${context.name}"`, error, {
      "source-corrupt": "backup-damaged",
      "source-encrypted": "backup-damaged",
      "source-empty": "backup-damaged",
    });
  }
}
