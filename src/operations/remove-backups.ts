import { backupKey, eventsKey, manifestKey } from "../archive/backup-keys.ts";
import { openBackup } from "../archive/backup-reader.ts";
import { HoldfastError, reportError, type ErrorReport } from "../base/errors.ts";
import type { Destination } from "../destinations/contract.ts";
import type { DestinationSetup, Surroundings, TaskPorts } from "./setup.ts";
import { openDestination } from "./verify.ts";

export interface Removal {
  readonly id: string;
  readonly folder: string;
  readonly manifestKey: string;
  readonly reasons: readonly string[];
}

export interface RemovalSetup extends Surroundings {
  readonly destination: DestinationSetup;
  readonly removals: readonly Removal[];
}

export interface RemovalResult {
  readonly removed: readonly { readonly id: string; readonly name: string; readonly reasons: readonly string[] }[];
  /** What could not be removed stays on record and is tried again after the next run. */
  readonly failed: readonly { readonly id: string; readonly error: ErrorReport }[];
}

/** Removes backups whose manifest at the destination still is the one that was decided upon; nothing else is touched. */
export async function runRemoval(setup: RemovalSetup, ports: TaskPorts, signal: AbortSignal): Promise<RemovalResult> {
  await using destination = await openDestination(setup.destination);
  const removed: { id: string; name: string; reasons: readonly string[] }[] = [];
  const failed: { id: string; error: ErrorReport }[] = [];
  for (const removal of setup.removals) {
    signal.throwIfAborted();
    ports.progress({ phase: "removing" });
    try {
      removed.push({ id: removal.id, name: await removeBackup(destination, removal, signal), reasons: removal.reasons });
    } catch (error) {
      signal.throwIfAborted();
      failed.push({ id: removal.id, error: reportError(error) });
    }
  }
  return { removed, failed };
}

async function removeBackup(destination: Destination, removal: Removal, signal: AbortSignal): Promise<string> {
  const { manifest, location } = await openBackup(destination, removal.folder, removal.manifestKey, signal);
  if (manifest.id !== removal.id) throw new HoldfastError("conflict", `${removal.manifestKey} is another backup now (${manifest.id})`);
  // The manifest goes first: what is left of a removal that was interrupted does not look like a backup.
  await destination.remove(manifestKey(location), signal);
  await destination.remove(backupKey(location), signal);
  if (manifest.layout === "file")
    for (const text of manifest.texts) await destination.remove(backupKey({ folder: location.folder, name: text.name }), signal);
  await destination.remove(eventsKey(location), signal);
  return manifest.name;
}
