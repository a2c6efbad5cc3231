import type { DatastoreConfig, Hook, StateQuestion } from "../config/config.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { HoldfastError } from "../base/errors.ts";
import { describeHook } from "./describe-hook.ts";
import { askSettledState } from "./hold/ask-state.ts";
import { createHoldId } from "./hold/hold-record.ts";

/** The servers that stand still while their data is replaced. */
export interface RestoreServices {
  /** Whose they are, by the names of the config. */
  readonly datastores: readonly string[];
  /** What one of them that stands still for a backup is on record as. */
  readonly holds: readonly string[];
  /** After the application has been stopped. */
  readonly stop: readonly Hook[];
  /** Before the application is started. */
  readonly start: readonly Hook[];
  /** How they stand; of those that can be asked. */
  readonly ask: readonly StateQuestion[];
}

interface Replaced {
  /** By its name in the config. */
  readonly datastore: string;
  /** As the restore has them: of a new database on the same server they are others than those of the config. */
  readonly options: unknown;
}

/**
 * The services of datastores whose data can only be replaced while their server stands still, and of those that say so themselves by not
 * being copied live. They are started again even where the application is to stay stopped: they belong to the data, and only a server that
 * runs proves what it runs on.
 */
export function chooseServices(datastores: ReadonlyMap<string, DatastoreConfig>, replaced: readonly Replaced[]): RestoreServices {
  const chosen = replaced.flatMap(({ datastore, options }) => {
    const { kind, service, copy } = datastores.get(datastore) ?? {};
    if (kind === undefined || service === undefined || service.stop.length === 0) return [];
    return copy !== undefined || findDatastoreDriver(kind).configure(options).restoresStopped ? [{ datastore, service }] : [];
  });
  // Several may have one server.
  const services = [...new Map(chosen.map(({ service }) => [service.key, service])).values()];
  return {
    datastores: chosen.map(({ datastore }) => datastore),
    holds: services.map(({ key }) => createHoldId(key)),
    stop: services.flatMap(({ stop }) => stop),
    start: services.toReversed().flatMap(({ start }) => start),
    ask: services.flatMap(({ ask }) => ask ?? []),
  };
}

/** A server that is coming to its end is given so long. */
const settleMs = 60_000;

/**
 * Nothing is replaced under a server that runs: its stop may have stopped nothing, and somebody may have started it since.
 * @throws conflict; hook-failed when it cannot be asked
 */
export async function assertStopped({ ask }: Pick<RestoreServices, "ask">, signal: AbortSignal): Promise<void> {
  for (const question of ask) {
    const state = await askSettledState(question, settleMs, signal);
    if (state === "stopped" || state === "unknown") continue;
    throw new HoldfastError("conflict", `The server of the data has been stopped, and is ${state} (\`${describeHook(question)}\`)`, {
      hint: "Look for what starts it: a timer, a socket unit, a person, or a restart policy; and whether its stop command stops it.",
    });
  }
}
