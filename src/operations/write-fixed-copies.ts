import { openBackup } from "../archive/backup-reader.ts";
import type { BackupReader } from "../archive/backup-reader.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { FixedCopy } from "../config/config.ts";
import type { Occupied } from "../config/occupied-places.ts";
import type { Destination } from "../destinations/contract.ts";
import { explainSystemError } from "./explain-system-error.ts";
import { placeFile, type PlacedFile } from "./place-file.ts";
import type { TaskPorts } from "./setup.ts";

/** How it went with one copy; the backup itself is good whatever came of it. */
export interface FixedCopyOutcome {
  readonly datastore: string;
  readonly path: string;
  /** Why the file was not replaced; null when it was. */
  readonly problem: string | null;
}

interface PublishedBackup {
  readonly destination: Destination;
  readonly folder: string;
  readonly manifestKey: string;
}

/**
 * Writes files under fixed names from what is stored in a published backup, read by its hashes (A1). What a backup lacks or doubts does not
 * replace what an earlier one has left there, and nothing replaces what is `occupied`. Never throws: each failure is told in its outcome.
 */
export async function writeFixedCopies(
  copies: readonly FixedCopy[],
  { destination, folder, manifestKey }: PublishedBackup,
  occupied: readonly Occupied[],
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<readonly FixedCopyOutcome[]> {
  const outcomes: FixedCopyOutcome[] = [];
  let backup: BackupReader | undefined;
  for (const copy of copies) {
    const { datastore, path } = copy;
    ports.progress({ phase: `writing ${path}`, datastore });
    try {
      backup ??= await openBackup(destination, folder, manifestKey, signal);
      await writeCopy({ ...copy, occupied }, backup, signal);
      outcomes.push({ datastore, path, problem: null });
    } catch (thrown) {
      const error = explainSystemError(thrown);
      const hint = error instanceof HoldfastError && error.hint !== undefined ? ` (${error.hint})` : "";
      const problem = `Cannot replace ${path} by "${datastore}": ${describeCause(error)}${hint}`;
      ports.log("warn", problem);
      outcomes.push({ datastore, path, problem });
    }
  }
  return outcomes;
}

async function writeCopy(copy: FixedCopy & PlacedFile, backup: BackupReader, signal: AbortSignal): Promise<void> {
  const member = backup.findMember(copy.datastore);
  if (backup.manifest.suspect.length > 0) throw new HoldfastError("backup-unverified", "the backup is suspect");
  if (member.status !== "ok") {
    const what = member.status === "absent" ? "the datastore was not there" : `the backup of it is ${member.status}`;
    throw new HoldfastError("backup-unverified", what);
  }
  const entries = await Array.fromAsync(backup.readMember(member));
  const [entry] = entries;
  if (entry === undefined || entries.length > 1 || entry.form !== "file") {
    throw new HoldfastError(
      "config-invalid",
      `it is no single file in the backup, but ${entry?.form === "tree" ? "a tree" : `${entries.length} files`}`,
      {
        hint: "Only a datastore that is one file can have a copy under a fixed name.",
      },
    );
  }
  // Its body ends normally only when all its hashes agree with the manifest.
  await placeFile(copy, (inner) => entry.open(inner), signal);
}
