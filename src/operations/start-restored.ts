import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Check, Hook } from "../config/config.ts";
import type { RestoreSession } from "../datastores/contract.ts";
import { redactText } from "../telemetry/redact.ts";
import { runCheck, type QueriedDatastore } from "./run-check.ts";
import type { RestoreRecord } from "./restore-journal.ts";
import type { TaskPorts } from "./setup.ts";
import { startAgain } from "./start-application.ts";

/** Enough for people to see what is wrong; the journal keeps it. */
const toldChars = 500;

/** What a restore has to say of the application on the restored data; all of it is no reason to take the data back. */
export interface Aftermath {
  /** Why the application could not be started. It is stopped, or half started; no check was made. */
  readonly unstarted?: string;
  /** Why it is not well, where that was to be put up with. */
  readonly unhealthy?: string;
  /** Datastores whose server may run on something else than what was put in place: it could not be asked. */
  readonly unproven: readonly string[];
}

interface StartSetup {
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  readonly check: readonly Check[];
  readonly queried?: readonly QueriedDatastore[];
  readonly keep?: "yes" | "no";
  readonly stagingDir: string;
}

interface StartedTarget {
  readonly member: { readonly datastore: string };
  readonly session: Pick<RestoreSession, "confirm">;
}

/**
 * Starts the application on data that has been restored and compared, and asks whether it is well. One that cannot be started leaves the
 * data in place: it is good, and the start command is what is wrong.
 * @throws check-failed, unless `keep`; restore-failed when a server runs on other data; whatever aborted the restore
 */
export async function startRestored(
  setup: StartSetup,
  targets: readonly StartedTarget[],
  record: (entry: RestoreRecord) => Promise<void>,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<Aftermath> {
  const { start, stop, check } = setup;
  if (start.length === 0 && stop.length > 0) return { unproven: [] };
  let unproven: readonly string[] = [];
  if (start.length > 0) {
    ports.progress({ phase: "starting the application" });
    await record({ type: "starting" });
    const unstarted = await tryStart(start, signal);
    unproven = await confirmAll(targets, unstarted === undefined ? "started" : "unstarted", ports, signal);
    if (unstarted !== undefined) {
      ports.log("error", `The data is restored, but the application could not be started: ${unstarted}`);
      return { unstarted, unproven };
    }
    await record({ type: "reached", phase: "started", atMs: ports.now() });
  }
  const unhealthy: string[] = [];
  for (const each of check) {
    ports.progress({ phase: "checking the application" });
    try {
      await runCheck(each, setup, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (setup.keep !== "yes") throw error;
      unhealthy.push(tell(error));
      ports.log("warn", `The restored data is kept all the same: ${describeCause(error)}`);
    }
  }
  if (unhealthy.length > 0) return { unhealthy: unhealthy.join("; ").slice(0, toldChars), unproven };
  if (check.length > 0) await record({ type: "reached", phase: "healthy", atMs: ports.now() });
  return { unproven };
}

async function tryStart(start: readonly Hook[], signal: AbortSignal): Promise<string | undefined> {
  try {
    await startAgain(start, signal);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HoldfastError && error.code === "hook-failed") return tell(error);
    throw error;
  }
}

/** Where not all was started a server that cannot be asked proves nothing; one that answers and has other data is a failure always. */
async function confirmAll(
  targets: readonly StartedTarget[],
  application: "started" | "unstarted",
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const unproven: string[] = [];
  for (const { member, session } of targets) {
    try {
      if ((await session.confirm?.(signal)) === "unknown") unproven.push(member.datastore);
    } catch (error) {
      signal.throwIfAborted();
      const isOther = error instanceof HoldfastError && error.code === "restore-failed";
      if (application === "started" || isOther) throw error;
      ports.log("warn", `Whether "${member.datastore}" runs on the restored data could not be asked: ${describeCause(error)}`);
      unproven.push(member.datastore);
    }
  }
  return unproven;
}

const tell = (error: unknown): string => redactText(describeCause(error)).slice(0, toldChars);
