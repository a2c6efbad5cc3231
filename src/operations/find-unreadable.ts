import { parseManifestKey } from "../archive/backup-keys.ts";
import { openBackup } from "../archive/backup-reader.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import type { FoundBackups } from "./sync-destination.ts";
import { openDestination } from "./verify.ts";

const mostRead = 50;
const limitMs = 10_000;

/**
 * Manifests at a destination that are not on record because nobody can read them: one of them may be the newest backup. Reads only those
 * that the catalog does not know. A destination that cannot be listed gives none: what is restored from it fails by itself.
 */
export async function findUnreadable(core: Core, destination: string, signal: AbortSignal): Promise<FoundBackups["unreadable"]> {
  const known = new Set(core.catalog.backups.find({ destination }).map(({ manifestKey }) => manifestKey));
  const unreadable: { key: string; reason: string }[] = [];
  const limited = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  try {
    await using opened = await openDestination(describeDestination(core.config, destination));
    let read = 0;
    for await (const { key } of opened.list("", limited)) {
      const place = parseManifestKey(key);
      if (place === undefined || known.has(key)) continue;
      read += 1;
      if (read > mostRead) break;
      try {
        await openBackup(opened, place.folder, key, limited);
      } catch (error) {
        if (!(error instanceof HoldfastError) || limited.aborted) throw error;
        unreadable.push({ key, reason: describeCause(error) });
      }
    }
  } catch {
    signal.throwIfAborted();
  }
  return unreadable;
}
