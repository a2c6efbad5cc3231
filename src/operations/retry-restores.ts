import { join } from "node:path";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { acquireLocks } from "../queue/locks.ts";
import type { Core } from "./core.ts";
import { endInterruptedRestore } from "./end-interrupted-restores.ts";
import { identifyDatastores, identifyServices } from "./find-config.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { findUnfinishedRestores } from "./restore-journal.ts";
import { clearStuck, hintOf, noteStuck } from "./stuck-restores.ts";

/** What one attempt may take: a large server takes its time to load its former data. */
const attemptMs = 90 * 60_000;

/**
 * Ends stuck restores when what was in the way has gone: from time to time, and when it is asked to. It holds the locks of the datastores
 * meanwhile, so that nothing else touches them; where something does, it is tried later.
 */
export class RestoreRetry implements AsyncDisposable {
  readonly #core: Core;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Begins what is due, and does not wait for it. */
  look(): void {
    this.#begin(({ dueAtMs }) => dueAtMs <= this.#core.clock.monotonic());
  }

  /** Begins all of it: a new configuration may have what was missing. */
  tryNow(): void {
    this.#begin(() => true);
  }

  /** Resolves when what was begun is over. */
  async settled(): Promise<void> {
    await this.#running;
  }

  #begin(isDue: (stuck: { readonly dueAtMs: number }) => boolean): void {
    if (this.#running !== undefined || this.#stopping.signal.aborted) return;
    const due = [...this.#core.stuckRestores].filter(([, stuck]) => isDue(stuck)).map(([id]) => id);
    if (due.length === 0) return;
    this.#running = this.#tryAll(due).finally(() => {
      this.#running = undefined;
    });
  }

  async #tryAll(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      if (this.#stopping.signal.aborted) return;
      try {
        await this.#tryOne(id, AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(attemptMs)]));
      } catch (error) {
        // Whoever holds a lock, or the end of the daemon, is no failure of the roll-back.
        const isLater = this.#stopping.signal.aborted || (error instanceof HoldfastError && error.code === "busy");
        const message = `The restore ${id} could not be ended: ${describeCause(error)}`;
        this.#core.log[isLater ? "info" : "error"](message, hintOf(error));
        if (!isLater) noteStuck(this.#core, { id, job: "", message, ...hintOf(error) }, "told");
      }
    }
  }

  async #tryOne(id: string, signal: AbortSignal): Promise<void> {
    const core = this.#core;
    const { settings } = core.config;
    const { unfinished, unreadable } = await findUnfinishedRestores(restoreJournalDir(settings.stateDir));
    const begin = unfinished.find((restore) => restore.id === id)?.records.find((record) => record.type === "begin");
    const closed = unreadable.find((restore) => restore.id === id);
    if (closed !== undefined) throw closed.error;
    const names = begin?.datastores ?? [];
    const keys = [...(await identifyDatastores(core.config, names, signal)), ...identifyServices(core.config, names)];
    const directory = join(settings.runtimeDir, "locks");
    using _locks = await acquireLocks({ directory, keys, holder: `the roll-back of the restore ${id}` }, signal);
    core.log.info(`The restore ${id} is not finished; it is tried again`);
    const ended = await endInterruptedRestore(core, id, signal);
    // Somebody has put it right by hand and moved the journal away.
    if (ended === undefined) clearStuck(core, { id, job: begin?.job ?? "", message: "its journal has come to its end" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new HoldfastError("interrupted", "The daemon is being stopped"));
    await this.settled();
  }
}
