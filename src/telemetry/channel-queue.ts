import { formatInstant, type Clock } from "../base/clock.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Channel } from "./channel.ts";
import { deliver } from "./deliver.ts";
import type { Log } from "./open-log.ts";
import type { Entry, Outbox } from "./outbox.ts";

const maxEntries = 200;
/** Older messages are given up. */
const maxAgeMs = 3 * 24 * 3_600_000;

/** How a channel does, for status. */
export interface ChannelState {
  readonly name: string;
  readonly kind: Channel["kind"];
  readonly lastSuccessAt?: string;
  readonly lastErrorAt?: string;
  /** Of the last attempt; absent when that succeeded. */
  readonly error?: string;
  readonly undelivered: number;
  /** Messages that were given up: too many, too old, or refused for good. */
  readonly dropped: number;
}

export interface QueueContext {
  readonly log: Log;
  readonly clock: Clock;
  /** Undefined where the directory cannot be used: messages then wait in memory alone. */
  readonly outbox: Outbox | undefined;
  /** Waits after the first, second … failure; the last one repeats. */
  readonly retryDelaysMs: readonly number[];
}

/** The messages of one channel, delivered one after the other, the oldest first. Stored and sent at the same time: a full disk stops neither. */
export class ChannelQueue implements AsyncDisposable {
  readonly #context: QueueContext;
  readonly #closing = new AbortController();
  #channel: Channel;
  #entries: Entry[] = [];
  readonly #stored = new Map<string, Promise<void>>();
  #inFlight: Entry | undefined;
  #pump: Promise<void> | undefined;
  #failures = 0;
  #wake: (() => void) | undefined;
  /** Resolved at the next pause or end of the pump. */
  #settled = Promise.withResolvers<void>();
  #lastSuccessAt: string | undefined;
  #lastErrorAt: string | undefined;
  #error: string | undefined;
  #dropped = 0;

  constructor(channel: Channel, context: QueueContext) {
    this.#channel = channel;
    this.#context = context;
  }

  /** Another target under the same name; what waits is tried there at once. */
  replaceChannel(channel: Channel): void {
    this.#channel = channel;
    this.#wake?.();
  }

  /** Takes over an entry that is in the outbox already. */
  resume(entry: Entry): void {
    this.#stored.set(entry.id, Promise.resolve());
    this.#entries.push(entry);
    this.#start();
  }

  push(entry: Entry): void {
    if (this.#channel.kind === "ping") this.#supersede(entry);
    while (this.#entries.length >= maxEntries) this.#discard(this.#chooseVictim(), "too many messages wait");
    this.#entries.push(entry);
    this.#store(entry);
    this.#start();
    this.#wake?.();
  }

  describe(): ChannelState {
    return {
      name: this.#channel.name,
      kind: this.#channel.kind,
      ...(this.#lastSuccessAt === undefined ? {} : { lastSuccessAt: this.#lastSuccessAt }),
      ...(this.#lastErrorAt === undefined ? {} : { lastErrorAt: this.#lastErrorAt }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
      undelivered: this.#entries.length,
      dropped: this.#dropped,
    };
  }

  /** Resolves when everything was tried once: delivered, or waiting for its next attempt. */
  async settle(): Promise<void> {
    if (this.#pump !== undefined && this.#failures === 0) await this.#settled.promise;
  }

  /** Gives up all that waits, in the outbox too. */
  async clear(): Promise<void> {
    for (const entry of this.#entries.toReversed()) this.#discard(entry, "the channel is gone");
    await this[Symbol.asyncDispose]();
  }

  /** Stops attempts; what is undelivered stays in the outbox. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#pump;
    await Promise.all(this.#stored.values());
  }

  #store(entry: Entry): void {
    const { outbox, log } = this.#context;
    // A "start" that comes late says nothing.
    if (outbox === undefined || entry.message.kind === "start") return;
    const saved = outbox.save(entry).catch((error: unknown) => {
      log.warn("A notification cannot be stored; it is lost if Holdfast ends before it is delivered", {
        channel: entry.channel,
        reason: describeCause(error),
      });
    });
    this.#stored.set(entry.id, saved);
  }

  #forget(entry: Entry): void {
    this.#entries = this.#entries.filter((each) => each !== entry);
    const saved = this.#stored.get(entry.id);
    if (saved === undefined) return;
    const removed = saved
      .then(() => this.#context.outbox?.remove(entry))
      .catch((error: unknown) =>
        this.#context.log.warn("A delivered notification cannot be removed from the outbox", { reason: describeCause(error) }),
      )
      .then(() => {
        this.#stored.delete(entry.id);
      });
    this.#stored.set(entry.id, removed);
  }

  #discard(entry: Entry, reason: string): void {
    this.#dropped += 1;
    this.#forget(entry);
    this.#context.log.error(`A notification was given up: ${reason}`, { channel: entry.channel, title: entry.message.title });
  }

  /** A dead man's switch only wants the latest of a job. */
  #supersede(next: Entry): void {
    const older = this.#entries.filter((entry) => entry !== this.#inFlight && entry.message.job === next.message.job);
    for (const entry of older) if (next.message.kind !== "start" || entry.message.kind === "start") this.#forget(entry);
  }

  #chooseVictim(): Entry {
    const idle = this.#entries.filter((entry) => entry !== this.#inFlight);
    const victim = idle.find((entry) => ["start", "success"].includes(entry.message.kind)) ?? idle[0];
    if (victim === undefined) throw new HoldfastError("internal", "Bug: a full queue without entries");
    return victim;
  }

  #start(): void {
    if (this.#pump !== undefined || this.#closing.signal.aborted) return;
    this.#pump = this.#run().finally(() => {
      this.#pump = undefined;
      this.#announceSettled();
      if (this.#entries.length > 0) this.#start();
    });
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const entry = this.#entries[0];
      if (entry === undefined) return;
      this.#inFlight = entry;
      const delivered = await this.#attempt(entry);
      this.#inFlight = undefined;
      if (!delivered && !this.#closing.signal.aborted) await this.#pause();
    }
  }

  /** False: the entry waits for another attempt. */
  async #attempt(entry: Entry): Promise<boolean> {
    const { clock, log } = this.#context;
    try {
      await deliver(this.#channel, entry.message, this.#closing.signal);
      if (this.#error !== undefined) log.info(`Notification channel "${this.#channel.name}" works again`);
      this.#lastSuccessAt = formatInstant(clock.now());
      this.#error = undefined;
      this.#failures = 0;
      this.#forget(entry);
      return true;
    } catch (error) {
      if (this.#closing.signal.aborted) return false;
      return this.#judge(entry, error);
    }
  }

  #judge(entry: Entry, error: unknown): boolean {
    const { clock, log } = this.#context;
    const reason = describeCause(error);
    this.#lastErrorAt = formatInstant(clock.now());
    if (error instanceof HoldfastError && !error.retryable) {
      this.#discard(entry, `${reason}, and would refuse it again`);
      this.#error = reason;
      return true;
    }
    if (this.#error === undefined) {
      log.warn(`Notification channel "${this.#channel.name}" fails: ${reason}; it is tried again`, {
        channel: this.#channel.name,
        kind: entry.message.kind,
      });
    }
    this.#error = reason;
    this.#failures += 1;
    if (clock.now() - Date.parse(entry.message.at) > maxAgeMs) {
      this.#discard(entry, "it could not be delivered for three days");
      return true;
    }
    return false;
  }

  #announceSettled(): void {
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
  }

  async #pause(): Promise<void> {
    this.#announceSettled();
    const delays = this.#context.retryDelaysMs;
    const delayMs = delays[Math.min(this.#failures, delays.length) - 1] ?? 60_000;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
