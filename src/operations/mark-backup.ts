import { eventsKey } from "../archive/backup-keys.ts";
import { formatEvent, type BackupEvent } from "../archive/events.ts";
import { formatInstant } from "../base/clock.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { describeMarks } from "./catalog-backup.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import { readEvents } from "./sync-destination.ts";
import { openDestination } from "./verify.ts";

/**
 * Adds a fact to a backup: durable at its destination first, then in the catalog, which says afterwards what a rebuild from the destination
 * would: a verification does not take back what a drill has found.
 */
export async function markBackup(
  core: Pick<Core, "config" | "catalog">,
  backup: CatalogBackup,
  event: BackupEvent,
  signal: AbortSignal,
): Promise<CatalogBackup> {
  await using destination = await openDestination(describeDestination(core.config, backup.destination));
  await destination.append(eventsKey(backup), Buffer.from(formatEvent(event)), signal);
  const events = await readEvents(destination, backup, signal);
  const known = core.catalog.backups.get(backup.destination, backup.id) ?? backup;
  const marks = describeMarks(events, formatInstant(backup.finishedAtMs));
  // A manifest that could not be read stands in no events file; only reading the backup again takes that back.
  const read = event.event === "verified" || event.event === "drilled";
  const damaged = marks.damaged ?? (read ? null : known.damaged);
  const changed = { ...marks, damaged, missingSinceMs: read ? null : known.missingSinceMs };
  return core.catalog.backups.mark(backup.destination, backup.id, changed) ?? { ...backup, ...changed };
}
