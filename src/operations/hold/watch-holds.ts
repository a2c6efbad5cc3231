import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { Core } from "../core.ts";
import { listHoldHooks } from "../fill-hooks.ts";
import { holdsDir, listHolds } from "./hold-record.ts";
import { releaseHold } from "./release-holds.ts";

const lookEveryMs = 10_000;
const firstPauseMs = 30_000;
const longestPauseMs = 10 * 60_000;
/** One attempt: a large server takes its time to start. */
const attemptMs = 10 * 60_000;

/** Lets go what stands still and has no guard any more: at the daemon's start, now and then, and when it is asked to. */
export class HoldWatch implements AsyncDisposable {
  readonly #core: Core;
  readonly #stopping = new AbortController();
  readonly #later = new Map<string, { readonly dueAtMs: number; readonly pauseMs: number }>();
  #lookedAtMs = -Infinity;
  #running: Promise<void> | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Begins what is due, and does not wait for it. */
  look(): void {
    const nowMs = this.#core.clock.monotonic();
    if (nowMs - this.#lookedAtMs < lookEveryMs) return;
    this.#lookedAtMs = nowMs;
    this.#begin();
  }

  /** Begins all of it: a new configuration may have what was missing. */
  tryNow(): void {
    this.#later.clear();
    this.#begin();
  }

  /** Resolves when what was begun is over. */
  async settled(): Promise<void> {
    await this.#running;
  }

  #begin(): void {
    if (this.#running !== undefined || this.#stopping.signal.aborted) return;
    const directory = holdsDir(this.#core.config.settings.stateDir);
    const nowMs = this.#core.clock.monotonic();
    const due = listHolds(directory).filter((id) => (this.#later.get(id)?.dueAtMs ?? nowMs) <= nowMs);
    if (due.length === 0) return;
    this.#running = this.#tryAll(directory, due).finally(() => {
      this.#running = undefined;
    });
  }

  /** Side by side: one that hangs must not keep another down. */
  async #tryAll(directory: string, ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.#tryOne(directory, id)));
  }

  async #tryOne(directory: string, id: string): Promise<void> {
    const { config, log, clock } = this.#core;
    const known = listHoldHooks(config);
    const ports = { log: (level: "info" | "warn" | "error", message: string) => log[level](message) };
    try {
      await releaseHold(directory, id, { known }, ports, AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(attemptMs)]));
      this.#later.delete(id);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const pauseMs = Math.min((this.#later.get(id)?.pauseMs ?? firstPauseMs / 2) * 2, longestPauseMs);
      this.#later.set(id, { dueAtMs: clock.monotonic() + pauseMs, pauseMs });
      log.error(describeCause(error), error instanceof HoldfastError && error.hint !== undefined ? { hint: error.hint } : {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new HoldfastError("interrupted", "The daemon is being stopped"));
    await this.settled();
  }
}
