import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { pickDefined } from "../base/pick-defined.ts";
import { identifyProcess } from "../base/process-group.ts";
import type { Task } from "../queue/contract.ts";
import { acquireLocks, type HeldLocks } from "../queue/locks.ts";
import { openWorker } from "../worker/open-worker.ts";
import type { Core, LiveTask } from "./core.ts";
import { endInterruptedRestore } from "./end-interrupted-restores.ts";
import type { TaskPayload } from "./payload.ts";
import { findHalfRestored } from "./find-blocking.ts";
import { offlineJournalDir, prepareTask, restoreJournalDir, type PreparedTask } from "./prepare-task.ts";

/** A lock that an outside program holds is tried again this often. */
const lockRetryMs = 1_000;
/** For the rollback of a restore whose worker died, start hooks included. */
const restoreEndMs = 90 * 60_000;

/** A claimed task with what it is to do. */
export interface RunningTask {
  readonly task: Task;
  readonly payload: TaskPayload;
  readonly entry: LiveTask;
}

/** Has a worker carry out a task and gives its result; a restore whose worker died is ended before the locks are given back. */
export async function carryOutTask(
  core: Core,
  { task, payload, entry }: RunningTask,
  stagingDir: string,
  locks: HeldLocks,
): Promise<unknown> {
  const { kind, setup, job } = await addDoubts(core, prepareTask(core, payload, stagingDir), entry.controller.signal);
  const worker = openWorker(
    {
      entry: core.entry,
      kind,
      input: setup,
      marker: task.id,
      lockFds: locks.fds,
      ...(job?.nice === undefined ? {} : { nice: job.nice }),
      ...(job?.ionice === undefined ? {} : { ionice: job.ionice }),
    },
    {
      onProgress: (progress) => {
        const { datastore, bytes, totalBytes, phase } = progress;
        entry.progress = { phase, ...pickDefined({ datastore, bytes, totalBytes }) };
        if (datastore !== undefined) entry.datastores.set(datastore, entry.progress);
      },
      onLog: (level, message, details) => core.log[level](message, { ...details, task: task.id }),
    },
    entry.controller.signal,
  );
  const identity = identifyProcess(worker.pid);
  if (identity !== undefined) core.queue.recordWorker(task.id, { ...identity, marker: task.id });
  try {
    return await worker.finished;
  } catch (error) {
    throw kind === "restore" ? await endRestore(core, setup.restoreId, error) : error;
  }
}

/** What a restore has left half done is backed up like anything else, and told as what it is. */
async function addDoubts(core: Core, prepared: PreparedTask, signal: AbortSignal): Promise<PreparedTask> {
  if (prepared.kind !== "backup") return prepared;
  const { setup } = prepared;
  const names = setup.datastores.map(({ name }) => name);
  const { stateDir } = core.config.settings;
  const halfRestored = await findHalfRestored(core.config, [restoreJournalDir(stateDir), offlineJournalDir(stateDir)], names, signal);
  return { ...prepared, setup: { ...setup, history: { ...setup.history, halfRestored } } };
}

/** A worker that died in the middle of a restore leaves the application stopped and the data half replaced: ended while the locks are held. */
async function endRestore(core: Core, id: string, error: unknown): Promise<unknown> {
  const ended = await endInterruptedRestore(core, id, AbortSignal.timeout(restoreEndMs));
  if (ended?.outcome === "done") {
    return new HoldfastError("worker-died", `${describeCause(error)}; the restore ${ended.message}`, {
      cause: error,
      hint:
        ended.unwell === undefined
          ? "Nothing is left to do; `holdfast undo` brings back what was there before."
          : "See to the application; `holdfast undo` brings back what was there before.",
    });
  }
  if (ended?.outcome !== "failed") return error;
  return new HoldfastError("restore-stuck", ended.message, {
    cause: error,
    hint: "Holdfast tries again by itself, and when it starts; `holdfast status` says what is in the way. No other restore of this data begins before.",
  });
}

/** An outside program that holds a lock is waited for; the deadline and a cancellation end the wait. */
export async function waitForLocks({ config, log }: Core, { task, entry }: RunningTask, stopping: AbortSignal): Promise<HeldLocks> {
  for (let told = false; ; told = true) {
    try {
      return await acquireLocks(
        { directory: join(config.settings.runtimeDir, "locks"), keys: task.keys, holder: `${task.kind} ${task.id}` },
        entry.controller.signal,
      );
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "busy") throw error;
      entry.progress = { phase: `waiting: ${error.message}` };
      if (!told) log.info(error.message, { task: task.id });
    }
    // A task that only waits has nothing to end in peace.
    const ended = AbortSignal.any([entry.controller.signal, stopping]);
    await delay(lockRetryMs, undefined, { signal: ended }).catch(() => {
      throw entry.controller.signal.aborted
        ? entry.controller.signal.reason
        : new HoldfastError("interrupted", "The daemon is being stopped");
    });
  }
}
