import { fileURLToPath } from "node:url";
import { describeCause, HoldfastError, reviveError } from "../../base/errors.ts";
import { describeDuration } from "../../base/parse-duration.ts";
import { openCompanion, type Companion } from "../../base/outside-companion.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { Hook } from "../../config/config.ts";
import type { HoldSetup, TaskPorts } from "../setup.ts";
import { type GuardReport, readLines, sendLine } from "./hold-messages.ts";
import { createHoldId } from "./hold-record.ts";
import { releaseHold } from "./release-holds.ts";

export interface HoldOrder extends HoldSetup {
  /** What is held still, for people: `"graph" is stopped`, `"nightly" is frozen`. */
  readonly what: string;
  /** Where what is held is written down, so that whoever comes later lets it go. */
  readonly directory: string;
}

/** A source that stands still. Closing lets it go. */
export interface Hold extends AsyncDisposable {
  /** `stopped`: it did not run before, and will not afterwards. */
  readonly was: "running" | "stopped";
  /** Aborts when its time is over, when its guard is gone, and with the task; for all that is done meanwhile. */
  readonly signal: AbortSignal;
  /**
   * Lets it go on; once, later calls give the same. An abort of the task does it too.
   * @returns how long it stood still, the time that stopping and starting took included
   * @throws hook-failed when it does not go on; hold-exceeded when its time was over before; source-changed when somebody else let it go
   * meanwhile. Then nothing that was copied may be used
   */
  release(): Promise<{ readonly heldMs: number }>;
}

/** How long the guard has to end by itself once nobody is left to tell it anything. */
const guardStopMs = 30_000;

/**
 * Makes something stand still, and sees to it that it goes on: when it is released, when its time is over, and when whoever holds it dies.
 * A guard, a process outside the daemon's reach, runs all hooks: so none is cut off half-way, and none overtakes another.
 * @throws hook-failed when it cannot be made to stand still; then it has been let go, unless the message says otherwise; busy when another
 * task holds it for too long
 */
export async function openHold(order: HoldOrder, ports: TaskPorts, signal: AbortSignal): Promise<Hold> {
  if (signal.aborted) throw createAbortError(signal, `${order.what}: not begun`);
  const guard = await openCompanion({ command: createGuardCommand(), name: "holdfast-guard", stopMs: guardStopMs });
  const hold = new GuardedHold(order, guard, ports, signal);
  try {
    await hold.engage();
  } catch (error) {
    guard.leave();
    throw error;
  }
  return hold;
}

function createGuardCommand(): readonly string[] {
  const entry = new URL(`../../main.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);
  return [process.execPath, ...process.execArgv.filter((flag) => !/^--(test|import|watch)/.test(flag)), fileURLToPath(entry), "guard"];
}

type Released = Extract<GuardReport, { type: "released" }>;

class GuardedHold implements Hold {
  was: "running" | "stopped" = "running";
  readonly signal: AbortSignal;
  readonly #order: HoldOrder;
  readonly #guard: Companion;
  readonly #ports: TaskPorts;
  readonly #task: AbortSignal;
  readonly #over = new AbortController();
  readonly #engaged = Promise.withResolvers<undefined>();
  readonly #released = Promise.withResolvers<Released>();
  #result: Promise<{ readonly heldMs: number }> | undefined;

  constructor(order: HoldOrder, guard: Companion, ports: TaskPorts, task: AbortSignal) {
    this.#order = order;
    this.#guard = guard;
    this.#ports = ports;
    this.#task = task;
    this.signal = AbortSignal.any([task, this.#over.signal]);
    for (const { promise } of [this.#engaged, this.#released]) promise.catch(() => undefined);
    void this.#listen();
  }

  /** Resolves when it stands still; an abort on the way lets the hook that is running come to its end, and then lets it go. */
  async engage(): Promise<void> {
    const onAbort = (): void => void this.#guard.stdin.end();
    this.#task.addEventListener("abort", onAbort, { once: true });
    if (this.#task.aborted) onAbort();
    sendLine(this.#guard.stdin, { type: "engage", order: this.#order });
    try {
      await this.#engaged.promise;
    } catch (error) {
      throw this.#task.aborted ? createAbortError(this.#task, `${this.#order.what}: not begun`) : error;
    } finally {
      this.#task.removeEventListener("abort", onAbort);
    }
    const letGo = (): void => void this.release().catch(() => undefined);
    if (this.#task.aborted) letGo();
    else this.#task.addEventListener("abort", letGo, { once: true });
  }

  async #listen(): Promise<void> {
    for await (const report of readLines<GuardReport>(this.#guard.stdout)) {
      if (report.type === "engaged") {
        this.was = report.was;
        this.#engaged.resolve(undefined);
      } else if (report.type === "failed") this.#engaged.reject(reviveError(report.error));
      else if (report.type === "over") this.#over.abort(createExceededError(this.#order));
      else {
        this.#released.resolve(report);
        // Somebody has ended the guard.
        if (report.wasDisturbed) this.#over.abort(createDisturbedError(this.#order));
        this.#engaged.reject(report.error === undefined ? new HoldfastError("cancelled", "It was let go") : reviveError(report.error));
      }
      // It goes on trying by itself where it has failed.
      if (report.type === "failed" || report.type === "released") return;
    }
    await this.#takeOver();
  }

  /** The guard is gone and has not said that it has let go: it was killed, and what it held stands still. */
  async #takeOver(): Promise<void> {
    const { directory, what } = this.#order;
    const complaint = await this.#guard.ended;
    const died = new HoldfastError("interrupted", `${what}: the process that guards it ended${complaint === "" ? "" : `: ${complaint}`}`);
    this.#over.abort(died);
    // Nothing is on record of what was down before; but nobody knows whether it stayed so.
    if (this.was === "stopped") return this.#released.reject(died);
    const known = listHooks(this.#order);
    const id = findHoldId(this.#order);
    const outcome = await releaseHold(directory, id, { known }, this.#ports, AbortSignal.timeout(takeOverMs)).then(
      () => died,
      (error: unknown) => error,
    );
    this.#engaged.reject(outcome);
    this.#released.reject(outcome);
  }

  release(): Promise<{ readonly heldMs: number }> {
    return (this.#result ??= this.#release());
  }

  async #release(): Promise<{ readonly heldMs: number }> {
    sendLine(this.#guard.stdin, { type: "release" });
    const { heldMs, error, isExceeded, wasDisturbed } = await this.#released.promise;
    if (error !== undefined) throw reviveError(error);
    if (isExceeded) throw createExceededError(this.#order);
    if (wasDisturbed) throw createDisturbedError(this.#order);
    return { heldMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch((error: unknown) => this.#ports.log("error", `${this.#order.what}: ${describeCause(error)}`));
    this.#guard.leave();
  }
}

/** For a release in place of a guard that was killed. */
const takeOverMs = 10 * 60_000;

function createExceededError({ what, limitMs }: HoldOrder): HoldfastError {
  return new HoldfastError(
    "hold-exceeded",
    `${what} for longer than ${describeDuration(limitMs)}: it was let go on, and what was copied meanwhile is not used`,
    {
      hint: "Allow more (`maxDowntime` of its service, `maxFreeze` of the job), or copy less, to a faster disk, or in another way.",
    },
  );
}

function createDisturbedError({ what }: HoldOrder): HoldfastError {
  return new HoldfastError("source-changed", `${what}, but somebody else let it go on meanwhile: what was copied is not used`, {
    hint: "Look for what starts it: a timer, a socket unit, a person, a restart policy, or the end of its guard.",
  });
}

/** All that it may run, with the values of their variables. */
export function listHooks({ engage, release, ask }: HoldOrder): readonly Hook[] {
  return [...engage, ...release, ...(ask === undefined ? [] : [ask])];
}

/** Names the record and the lock. */
export function findHoldId({ key, engage, release }: Pick<HoldOrder, "key" | "engage" | "release">): string {
  return createHoldId(key ?? JSON.stringify([...engage, ...release].map(({ command, runAs }) => [command, runAs])));
}
