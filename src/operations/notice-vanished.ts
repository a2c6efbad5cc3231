import { describeCause } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import { noticeIdentity } from "./notice-identity.ts";
import { recordVanished } from "./sync-destination.ts";
import { openDestination } from "./verify.ts";

/** A place that does not answer in this time is looked at another time. */
const limitMs = 10_000;

/**
 * Forgets backups that somebody else has removed from a destination (W12): they must not fill retention's counts, nor be verified for
 * ever. Only names are read. What cannot be read now changes nothing, and neither does a disk that is not mounted.
 */
export async function noticeVanished(core: Core, name: string, signal: AbortSignal): Promise<void> {
  if (!core.config.destinations.has(name)) return;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  try {
    // The catalog first: what is published after the listing must not look vanished.
    const known = core.catalog.backups.find({ destination: name });
    if (known.length === 0) return;
    await using destination = await openDestination(describeDestination(core.config, name));
    const there = new Set<string>();
    for await (const { key } of destination.list("", limit)) there.add(key);
    const back = known.filter(({ missingSinceMs, manifestKey }) => missingSinceMs !== null && there.has(manifestKey));
    for (const { id } of back) core.catalog.backups.mark(name, id, { missingSinceMs: null });
    const missing = known.filter(({ manifestKey }) => !there.has(manifestKey));
    if (missing.length === 0 || !(await destination.probe(limit)).marked) return;
    noticeIdentity(core, name, await destination.identify(limit));
    const vanished = missing.filter(({ id }) => core.catalog.backups.get(name, id) !== undefined && !isInUse(core, id));
    core.catalog.transact(() => {
      for (const { id } of vanished) core.catalog.backups.remove(name, id);
      recordVanished(core, name, vanished);
    });
  } catch (error) {
    signal.throwIfAborted();
    core.log.debug(`Whether backups have vanished from "${name}" cannot be told now: ${describeCause(error)}`);
  }
}

/** Remembers of a backup that a task did not find that it is missing, when it is: it must not count as a good one. */
export async function noticeMissing(core: Core, backup: CatalogBackup, signal: AbortSignal): Promise<void> {
  const { destination: name, id, manifestKey } = backup;
  try {
    await using destination = await openDestination(describeDestination(core.config, name));
    // A part of it may be what was not found; and a disk that is not mounted says nothing.
    if ((await destination.stat(manifestKey, signal)) !== undefined || !(await destination.probe(signal)).marked) return;
    core.catalog.backups.mark(name, id, { missingSinceMs: backup.missingSinceMs ?? core.clock.now() });
  } catch (error) {
    core.log.debug(`Whether ${backup.name} is missing at "${name}" cannot be told now: ${describeCause(error)}`);
  }
}

/** By a task of any kind: a removal of our own is going on, or a reader is about to find out by itself. */
function isInUse(core: Core, id: string): boolean {
  return core.queue.usesOf((payload) => JSON.stringify(payload).includes(id)).length > 0;
}
