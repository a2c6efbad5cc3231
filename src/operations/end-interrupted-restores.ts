import type { Core } from "./core.ts";
import { finishOneRestore, finishRestores, type FindOptions, type FinishedRestore } from "./finish-restore.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import type { TaskPorts } from "./setup.ts";

/** Ends what restores a crash of the daemon left half-way, and notes it in the catalog. To be called before any task runs. */
export async function endInterruptedRestores(core: Core, signal: AbortSignal): Promise<void> {
  const finished = await finishRestores(
    restoreJournalDir(core.config.settings.stateDir),
    createPorts(core),
    signal,
    findPresentOptions(core),
  );
  for (const restore of finished) noteEnd(core, restore);
}

/** The same for one restore whose worker died. Its locks must still be held. */
export async function endInterruptedRestore(core: Core, id: string, signal: AbortSignal): Promise<FinishedRestore | undefined> {
  const restore = await finishOneRestore(
    restoreJournalDir(core.config.settings.stateDir),
    id,
    createPorts(core),
    signal,
    findPresentOptions(core),
  );
  if (restore !== undefined) noteEnd(core, restore);
  return restore;
}

function findPresentOptions(core: Core): FindOptions {
  return (datastore) => core.config.datastores.get(datastore)?.options;
}

function noteEnd(core: Core, { id, outcome, message, preRestore }: FinishedRestore): void {
  // A failure has been told already, when it came.
  if (outcome !== "failed") core.log.warn(`The restore ${id} ${message}`);
  if (core.catalog.restores.get(id) === undefined) return;
  core.catalog.restores.update(id, { state: outcome, finishedAtMs: core.clock.now(), ...(preRestore === undefined ? {} : { preRestore }) });
}

function createPorts(core: Core): TaskPorts {
  return {
    now: () => core.clock.now(),
    progress: () => undefined,
    log: (level, message, details) => core.log[level](message, details),
  };
}
