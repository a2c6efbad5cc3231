import { eventsKey } from "../archive/backup-keys.ts";
import { foldEvents, formatEvent, type BackupEvent } from "../archive/events.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import { openDestination } from "./verify.ts";

/** Adds a fact to a backup: durable at its destination first, then in the catalog. */
export async function markBackup(core: Core, backup: CatalogBackup, event: BackupEvent, signal: AbortSignal): Promise<CatalogBackup> {
  await using destination = await openDestination(describeDestination(core.config, backup.destination));
  await destination.append(eventsKey(backup), Buffer.from(formatEvent(event)), signal);
  const marks = describeMarks(event);
  return core.catalog.backups.mark(backup.destination, backup.id, marks) ?? { ...backup, ...marks };
}

function describeMarks(
  event: BackupEvent,
): Partial<Pick<CatalogBackup, "pinned" | "verifiedAtMs" | "drilledAtMs" | "drillMs" | "damaged" | "accepted">> {
  const marks = foldEvents([event], event.at);
  switch (event.event) {
    case "pinned":
    case "unpinned":
      return { pinned: marks.pinned };
    case "verified":
      return { verifiedAtMs: Date.parse(event.at), damaged: null };
    case "drilled":
      return { drilledAtMs: Date.parse(event.at), drillMs: event.tookMs };
    case "drill-failed":
    case "damaged":
      return { damaged: event.reason };
    case "accepted":
      return { accepted: event.reason };
    case "note":
    case "copied":
    case "removing":
      return {};
  }
}
