import { describeCause, HoldfastError } from "../../base/errors.ts";
import { systemClock } from "../../base/clock.ts";
import { openState } from "../../operations/open-state.ts";
import { syncDestination } from "../../operations/sync-destination.ts";
import type { VerbContext } from "../verb.ts";
import type { OfflineRebuildOptions } from "./options.ts";

interface SyncedDestination {
  readonly destination: string;
  readonly backups: number;
  readonly added: number;
  readonly changed: number;
  readonly vanished: readonly string[];
  readonly unreadable: readonly { readonly key: string; readonly reason: string }[];
  readonly problem: string | null;
}

const nothing = { backups: 0, added: 0, changed: 0, vanished: [], unreadable: [] } as const;

/**
 * Makes the state anew where it is lost or damaged, and reads all destinations into the catalog. What was damaged is moved aside, never
 * removed. Exit status 1 when a destination could not be read: its backups are not in the catalog then; 6 when a
 * manifest could not be.
 */
export async function rebuildOffline(context: VerbContext, _options: OfflineRebuildOptions): Promise<number> {
  const { terminal, signal } = context;
  const config = await context.loadConfig();
  await using state = await openState({ settings: config.settings, version: context.program.version, whenLost: "replace" }, signal);
  const { catalog, replaced, asideDir } = state;
  const log = { warn: (message: string) => terminal.tell(`warning: ${message}`) };
  const synced: SyncedDestination[] = [];
  for (const name of config.destinations.keys()) {
    terminal.status(`reading ${name}`);
    try {
      const changes = await syncDestination({ config, catalog, clock: systemClock, log }, name, signal);
      synced.push({
        destination: name,
        backups: catalog.backups.find({ destination: name }).length,
        added: changes.added.length,
        changed: changes.changed.length,
        vanished: changes.vanished.map((backup) => backup.name),
        unreadable: changes.unreadable,
        problem: null,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      synced.push({ destination: name, ...nothing, problem: describeCause(error) });
    }
  }
  if (terminal.json === "json") terminal.printJson({ replaced, asideDir: asideDir ?? null, destinations: synced });
  else {
    if (state.firstStart) terminal.print(`The state in ${config.settings.stateDir} is new`);
    for (const name of replaced) terminal.print(`${name} is new`);
    if (asideDir !== undefined) terminal.print(`What was there is kept in ${asideDir}`);
    for (const { destination, backups, problem } of synced)
      terminal.print(problem === null ? `${destination}: ${backups} backup${backups === 1 ? "" : "s"}` : `${destination}: ${problem}`);
  }
  if (synced.some(({ problem }) => problem !== null)) return 1;
  return synced.some(({ unreadable }) => unreadable.length > 0) ? 6 : 0;
}
