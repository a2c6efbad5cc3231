import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDirectory } from "../../base/atomic-file.ts";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { Settings } from "../../config/config.ts";
import { acquireLocks } from "../../queue/locks.ts";
import { lockInstance } from "../../queue/instance-lock.ts";
import type { FindHooks } from "../fill-hooks.ts";
import { finishRestores, type FindOptions, type FinishedRestore } from "../finish-restore.ts";
import { offlineJournalDir, restoreJournalDir } from "../prepare-task.ts";
import type { TaskPorts } from "../setup.ts";
import { openStagingDirectory, type StagingDirectory } from "../staging.ts";

/** The right to restore on this machine, while it is open. */
export interface RestoreWork extends AsyncDisposable {
  readonly journalDir: string;
  /** Restores that a crash had left half-way and that were ended first. */
  readonly finished: readonly FinishedRestore[];
}

/**
 * Makes this process the one that restores offline, and ends what earlier ones left half-way. Where no daemon works with the state
 * directory none can start meanwhile: it would take the journal of this restore for that of a crash. Beside a running daemon the
 * journal stands apart.
 * @param find `findOptions` of the datastores as the config has them, for those that lie on servers; `findHooks` of its jobs
 * @throws busy when another offline restore is going on; state-unwritable
 */
export async function openRestoreWork(
  settings: Settings,
  { findOptions, findHooks }: { readonly findOptions: FindOptions; readonly findHooks: FindHooks },
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<RestoreWork> {
  await using resources = new AsyncDisposableStack();
  await withPermissionExplained(settings, async () => {
    await makeDirectory(settings.stateDir, 0o711);
    await makeDirectory(settings.runtimeDir, 0o755);
  });
  const alone = await withPermissionExplained(settings, () => lockState(settings.stateDir, signal));
  if (alone !== undefined) resources.use(alone);
  const key = { id: `offline-restores:${settings.stateDir}`, paths: [] };
  const locks = { directory: join(settings.runtimeDir, "locks"), keys: [key], holder: "an offline restore" };
  resources.use(await withPermissionExplained(settings, () => acquireLocks(locks, signal)));
  const apart = offlineJournalDir(settings.stateDir);
  const usual = restoreJournalDir(settings.stateDir);
  const finished = [
    ...(await finishRestores(apart, ports, signal, findOptions, findHooks)),
    ...(alone === undefined ? [] : await finishRestores(usual, ports, signal, findOptions, findHooks)),
  ];
  const stuck = finished.find(({ outcome }) => outcome === "failed");
  if (stuck !== undefined) {
    throw new HoldfastError("restore-stuck", stuck.message, {
      hint: `Both copies are still there, see ${stuck.id}.restore.jsonl in ${usual} or ${apart}. Mend that first.`,
    });
  }
  const owned = resources.move();
  return { journalDir: alone === undefined ? apart : usual, finished, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function lockState(stateDir: string, signal: AbortSignal): Promise<Disposable | undefined> {
  try {
    return await lockInstance(stateDir, signal);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "daemon-running") return undefined;
    throw error;
  }
}

async function withPermissionExplained<Result>({ stateDir, runtimeDir }: Settings, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS"].includes(readErrno(error) ?? "")) throw error;
    throw new HoldfastError(
      "state-unwritable",
      `A restore needs ${stateDir} and ${runtimeDir} for its journal and its locks: ${describeCause(error)}`,
      {
        cause: error,
        hint: "Run it as root, or name other directories in HOLDFAST_STATE_DIR and HOLDFAST_RUNTIME_DIR.",
      },
    );
  }
}

/** A place for staged copies: where the daemon has its own if it can be written to, else among temporary files. */
export async function openScratch(settings: Settings): Promise<StagingDirectory> {
  try {
    return await openStagingDirectory(settings.stagingDir, "offline");
  } catch (error) {
    if (readErrno(error) === undefined) throw error;
    const path = await mkdtemp(join(tmpdir(), "holdfast-"));
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
  }
}
