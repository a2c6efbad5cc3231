import { setTimeout as delay } from "node:timers/promises";
import { createId } from "../base/ids.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { describeCause, HoldfastError, reportError } from "../base/errors.ts";
import type { RunKind } from "../catalog/contract.ts";
import type { Task } from "../queue/contract.ts";
import { carryOutTask, waitForLocks, type RunningTask } from "./carry-out-task.ts";
import { completeFailure, completeTask } from "./complete-task.ts";
import type { Completion } from "./completion.ts";
import type { Core, LiveTask } from "./core.ts";
import { parsePayload, type TaskPayload } from "./payload.ts";
import { openStagingDirectory } from "./staging.ts";
import { tellOutcome, tellStart } from "./tell-run.ts";

/** A queue or catalog that cannot be written (no space) is tried again this often. */
const stateRetryMs = 5_000;
/** The longest that a timer can wait: about 24 days. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Claims tasks from the queue and has workers carry them out, until it is drained. Every task ends with a run on record, whatever
 * happens to its worker.
 */
export class Dispatcher {
  readonly #core: Core;
  readonly #running = new Set<Promise<void>>();
  readonly #unsubscribe: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** Aborted when the daemon begins to end. */
  readonly #stopping = new AbortController();

  constructor(core: Core) {
    this.#core = core;
    this.#unsubscribe = core.queue.subscribe((change) => {
      if (change.type === "cancel-requested")
        core.live.get(change.task.id)?.controller.abort(new HoldfastError("cancelled", "The run was cancelled"));
      this.pump();
    });
  }

  /** Starts every task that may start now. */
  pump(): void {
    clearTimeout(this.#timer);
    if (this.#stopping.signal.aborted) return;
    try {
      this.#claimAll();
      this.#wakeForRetries();
    } catch (error) {
      this.#core.log.error(`No task can be started now: ${describeCause(error)}`);
      this.#timer = setTimeout(() => this.pump(), stateRetryMs);
    }
  }

  #claimAll(): void {
    const { queue, clock } = this.#core;
    for (let task = queue.claimNext(clock.now()); task !== undefined; task = queue.claimNext(clock.now())) {
      const running = this.#run(task)
        // The next start finds it running and records it as interrupted.
        .catch((error: unknown) =>
          this.#core.log.error(`The end of ${task.kind} ${task.id} could not be recorded: ${describeCause(error)}`),
        )
        .finally(() => {
          this.#running.delete(running);
          this.pump();
        });
      this.#running.add(running);
    }
  }

  #wakeForRetries(): void {
    const { queue, clock } = this.#core;
    const later = queue
      .list({ states: ["waiting"] })
      .map(({ notBeforeMs }) => notBeforeMs - clock.now())
      .filter((ms) => ms > 0);
    if (later.length === 0) return;
    this.#timer = setTimeout(() => this.pump(), Math.min(...later, 60_000) + 5);
  }

  /** Takes no more tasks; running ones may go on until the signal aborts them. Resolves when none is left. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    this.#unsubscribe();
    const abort = (): void => {
      for (const { controller } of this.#core.live.values())
        controller.abort(new HoldfastError("interrupted", "The daemon is being stopped"));
    };
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    await Promise.all(this.#running);
    signal.removeEventListener("abort", abort);
  }

  async #run(task: Task): Promise<void> {
    const { catalog, clock, log, live } = this.#core;
    const controller = new AbortController();
    const runId = createId(clock.now());
    const entry: LiveTask = { runId, controller, progress: { phase: "starting" }, datastores: new Map() };
    live.set(task.id, entry);
    const deadline =
      task.deadlineMs === undefined
        ? undefined
        : setTimeout(
            () =>
              controller.abort(
                new HoldfastError("timeout", `The run took longer than ${describeDuration(task.deadlineMs ?? 0)}`, {
                  hint: "Raise the job's `maxDuration` if that is normal.",
                }),
              ),
            Math.min(task.deadlineMs, maxTimerMs),
          );
    if (task.cancelRequestedAtMs !== undefined) controller.abort(new HoldfastError("cancelled", "The run was cancelled"));
    const requester = task.requesters[0]?.name ?? "unknown";
    await this.#persist(task, () =>
      catalog.runs.start({
        id: runId,
        taskId: task.id,
        attempt: task.attempt,
        kind: task.kind as RunKind,
        ...(task.job === undefined ? {} : { job: task.job }),
        trigger: requester,
        startedAtMs: clock.now(),
        summary: "",
        details: {},
      }),
    );
    log.info(`${task.kind}${task.job === undefined ? "" : ` of job "${task.job}"`} started`, { task: task.id, run: runId, requester });
    let payload: TaskPayload | undefined;
    try {
      payload = parsePayload(task.payload);
      tellStart(this.#core, task);
      await this.#finish(task, runId, await this.#carryOut({ task, payload, entry }));
    } catch (error) {
      await this.#fail(task, runId, payload, error);
    } finally {
      clearTimeout(deadline);
      live.delete(task.id);
    }
  }

  /** When it returns nothing is staged and no lock is held any more: whoever waits for the task's end may count on it. */
  async #carryOut(running: RunningTask): Promise<Completion> {
    await using staging = await openStagingDirectory(this.#core.config.settings.stagingDir, running.task.id);
    using locks = await waitForLocks(this.#core, running, this.#stopping.signal);
    const result = await carryOutTask(this.#core, running, staging.path, locks);
    return await completeTask(this.#core, running.payload, result, AbortSignal.timeout(60_000));
  }

  /** Writes to the daemon's own state, on a disk that may be full: tried until it works, and the task's keys stay taken meanwhile. */
  async #persist<Result>(task: Task, write: () => Result): Promise<Result> {
    for (let told = ""; ;) {
      try {
        return write();
      } catch (error) {
        // What does not fit the state will not fit it later.
        if (error instanceof HoldfastError && (error.code === "conflict" || error.code === "unknown-name")) throw error;
        if (this.#stopping.signal.aborted) throw error;
        const text = `What became of the ${task.kind} ${task.id} cannot be written down yet: ${describeCause(error)}`;
        if (text !== told) this.#core.log.error(text);
        told = text;
        await delay(stateRetryMs);
      }
    }
  }

  async #finish(task: Task, runId: string, completion: Completion): Promise<void> {
    const { queue, catalog, clock, log } = this.#core;
    const { state, summary, backupId, bytes, details } = completion;
    const outcome = {
      state,
      summary,
      details,
      finishedAtMs: clock.now(),
      ...(backupId === undefined ? {} : { backupId }),
      ...(bytes === undefined ? {} : { bytes }),
    };
    await this.#persist(task, () => catalog.runs.finish(runId, outcome));
    await this.#persist(task, () =>
      queue.finish(task.id, { state: "done", result: { runId, state, summary, backupId: backupId ?? null, details } }),
    );
    log[state === "ok" ? "info" : "warn"](
      `${task.kind}${task.job === undefined ? "" : ` of job "${task.job}"`} ended ${state}: ${summary}`,
      { task: task.id, run: runId },
    );
    tellOutcome(this.#core, task, runId, completion);
  }

  async #fail(task: Task, runId: string, payload: TaskPayload | undefined, thrown: unknown): Promise<void> {
    const { queue, catalog, clock, log } = this.#core;
    if (payload !== undefined && isAbsenceAllowed(this.#core, payload, thrown)) {
      return this.#finish(task, runId, { state: "skipped", summary: describeCause(thrown), details: {} });
    }
    let error = reportError(thrown);
    try {
      if (payload !== undefined) error = await completeFailure(this.#core, payload, thrown, AbortSignal.timeout(60_000));
    } catch (second) {
      log.error(`The failure could not be recorded at the destination: ${describeCause(second)}`, { task: task.id });
    }
    const state = error.code === "cancelled" ? "cancelled" : error.code === "interrupted" ? "interrupted" : "failed";
    const finishedAtMs = clock.now();
    await this.#persist(task, () => catalog.runs.finish(runId, { state, summary: error.message, error, details: {}, finishedAtMs }));
    const after = await this.#persist(task, () => queue.finish(task.id, { state, error }));
    log[state === "failed" ? "error" : "warn"](
      `${task.kind}${task.job === undefined ? "" : ` of job "${task.job}"`} ${state}: ${error.message}`,
      {
        task: task.id,
        run: runId,
        code: error.code,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        ...(after.state === "waiting" ? { retryAt: new Date(after.notBeforeMs).toISOString() } : {}),
      },
    );
    if (after.state !== "waiting")
      tellOutcome(this.#core, task, runId, {
        state,
        summary: error.message,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        details: { code: error.code, hint: error.hint ?? null },
      });
  }
}

/** An optional destination (an unplugged disk, a NAS that is away) may be absent: then the run is skipped, not failed (A13). */
function isAbsenceAllowed(core: Core, payload: TaskPayload, thrown: unknown): boolean {
  if (!(thrown instanceof HoldfastError) || (payload.operation !== "backup" && payload.operation !== "copy")) return false;
  if (thrown.code !== "destination-missing" && thrown.code !== "destination-unmarked") return false;
  return core.config.destinations.get(payload.operation === "copy" ? payload.to : payload.destination)?.required === false;
}
