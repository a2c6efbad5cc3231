import { describeCause } from "../base/errors.ts";
import type { Core } from "./core.ts";
import { findEndedRestore } from "./find-ended-restore.ts";
import { listRestoreHooks, type FindHooks } from "./fill-hooks.ts";
import { finishOneRestore, finishRestores, type FindOptions, type FinishedRestore } from "./finish-restore.ts";
import { noteRestore } from "./note-restore.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import type { TaskPorts } from "./setup.ts";
import { syncDestination } from "./sync-destination.ts";

/** Ends what restores a crash of the daemon left half-way, and notes it in the catalog. To be called before any task runs. */
export async function endInterruptedRestores(core: Core, signal: AbortSignal): Promise<void> {
  const finished = await finishRestores(
    restoreJournalDir(core.config.settings.stateDir),
    createPorts(core),
    signal,
    findPresentOptions(core),
    findPresentHooks(core),
  );
  for (const restore of finished) noteRestore(core, restore);
}

/** The same for one restore whose worker died, even after its end. Its locks must still be held. */
export async function endInterruptedRestore(core: Core, id: string, signal: AbortSignal): Promise<FinishedRestore | undefined> {
  const directory = restoreJournalDir(core.config.settings.stateDir);
  const finished = await finishOneRestore(directory, id, createPorts(core), signal, findPresentOptions(core), findPresentHooks(core));
  const restore = finished ?? (await findEndedRestore(directory, id));
  // One that its worker has rolled back is told by the worker's error.
  if (restore === undefined || (finished === undefined && restore.outcome !== "done")) return undefined;
  noteRestore(core, restore, "told");
  await findPreRestore(core, restore, signal);
  return restore;
}

/** The worker would have told what it saved: an undo needs it on record. */
async function findPreRestore(core: Core, { preRestore }: FinishedRestore, signal: AbortSignal): Promise<void> {
  if (preRestore === undefined || core.catalog.backups.get(preRestore.destination, preRestore.id) !== undefined) return;
  await syncDestination(core, preRestore.destination, signal).catch((error: unknown) =>
    core.log.warn(`The backup ${preRestore.name} of what was there before is not on record: ${describeCause(error)}`, {
      hint: "`holdfast list --pre-restore` has it after the next start.",
    }),
  );
}

function findPresentOptions(core: Core): FindOptions {
  return (datastore) => core.config.datastores.get(datastore)?.options;
}

function findPresentHooks(core: Core): FindHooks {
  return (job) => listRestoreHooks(core.config, job);
}

function createPorts(core: Core): TaskPorts {
  return {
    now: () => core.clock.now(),
    progress: () => undefined,
    log: (level, message, details) => core.log[level](message, details),
  };
}
