import { backupKey, eventsKey, manifestKey, parseEventsKey } from "../archive/backup-keys.ts";
import { openBackup } from "../archive/backup-reader.ts";
import { formatEvent } from "../archive/events.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError, reportError, type ErrorReport } from "../base/errors.ts";
import type { Destination } from "../destinations/contract.ts";
import type { DestinationSetup, Surroundings, TaskPorts } from "./setup.ts";
import { readEvents } from "./sync-destination.ts";
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

const layouts = ["directory", "archive"] as const;

/** Removes backups whose manifest at the destination still is the one that was decided upon; nothing else is touched. */
export async function runRemoval(setup: RemovalSetup, ports: TaskPorts, signal: AbortSignal): Promise<RemovalResult> {
  await using destination = await openDestination(setup.destination);
  const removed: { id: string; name: string; reasons: readonly string[] }[] = [];
  const failed: { id: string; error: ErrorReport }[] = [];
  for (const removal of setup.removals) {
    signal.throwIfAborted();
    ports.progress({ phase: "removing" });
    try {
      removed.push({ id: removal.id, name: await removeBackup(destination, removal, ports, signal), reasons: removal.reasons });
    } catch (error) {
      signal.throwIfAborted();
      failed.push({ id: removal.id, error: reportError(error) });
    }
  }
  return { removed, failed };
}

async function removeBackup(destination: Destination, removal: Removal, ports: TaskPorts, signal: AbortSignal): Promise<string> {
  const { manifest, location } = await openBackup(destination, removal.folder, removal.manifestKey, signal);
  if (manifest.id !== removal.id) throw new HoldfastError("conflict", `${removal.manifestKey} is another backup now (${manifest.id})`);
  const objects = [manifest.name, ...(manifest.layout === "file" ? manifest.texts.map(({ name }) => name) : [])];
  const event = formatEvent({ at: formatInstant(ports.now()), event: "removing", objects });
  await destination.append(eventsKey(location), Buffer.from(event), signal).catch((error: unknown) => {
    // A full disk is what removals are for; an interruption would then leave objects without a manifest.
    if (!(error instanceof HoldfastError) || error.code !== "no-space") throw error;
  });
  // The manifest goes first: what is left of a removal that was interrupted does not look like a backup. A directory goes at once.
  if (manifest.layout !== "directory") await destination.remove(manifestKey(location), signal);
  await removeObjects(destination, location, objects, signal);
  return manifest.name;
}

/** The events file goes last: it is what tells that the others are ours. */
async function removeObjects(
  destination: Destination,
  backup: { readonly folder: string; readonly name: string },
  objects: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const name of objects) await destination.remove(backupKey({ folder: backup.folder, name }), signal);
  await destination.remove(eventsKey(backup), signal);
}

/** Ends removals that were interrupted after the manifest had gone; gives what is no longer there. */
export async function finishRemovals(
  destination: Destination,
  signal: AbortSignal,
): Promise<readonly { readonly folder: string; readonly name: string }[]> {
  const keys = new Set((await Array.fromAsync(destination.list("", signal))).map(({ key }) => key));
  const ended: { folder: string; name: string }[] = [];
  for (const key of keys) {
    const backup = parseEventsKey(key);
    if (backup === undefined || layouts.some((layout) => keys.has(manifestKey({ ...backup, layout })))) continue;
    const events = await readEvents(destination, backup, signal);
    const removing = events.findLast((event) => event.event === "removing");
    if (removing === undefined) continue;
    const own = removing.objects.filter((name) => name === backup.name || (name.startsWith(`${backup.name}.`) && !name.includes("/")));
    await removeObjects(destination, backup, own, signal);
    ended.push(backup);
  }
  return ended;
}
