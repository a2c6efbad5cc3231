import type { Clock } from "../base/clock.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import { ChannelQueue, type ChannelState, type QueueContext } from "./channel-queue.ts";
import { wantsKind, type Channel } from "./channel.ts";
import { deliver } from "./deliver.ts";
import { sanitizeNotification, type Notification } from "./notification.ts";
import type { Log } from "./open-log.ts";
import { Outbox, type Entry } from "./outbox.ts";

const defaultRetryDelaysMs = [1_000, 5_000, 30_000, 120_000, 600_000, 1_800_000] as const;
/** How long closing waits for messages that were never tried. */
const closeGraceMs = 3_000;

export interface NotifierOptions {
  readonly channels: ReadonlyMap<string, Channel>;
  readonly log: Log;
  readonly clock: Clock;
  /** Where undelivered messages survive a restart; made when missing. */
  readonly outboxDir: string;
  readonly host: string;
  readonly retryDelaysMs?: readonly number[];
}

/** Tells people and machines through channels. Messages arrive at least once, each channel's in order. */
export interface Notifier extends AsyncDisposable {
  /** Never waits and never throws: delivery goes on in the background. A channel gets only the kinds that it wants. */
  tell(event: Notification, channelNames: readonly string[]): void;
  state(): readonly ChannelState[];
  /** For a reload. Messages for channels that are gone are given up, the others are tried at once. */
  replaceChannels(channels: ReadonlyMap<string, Channel>): void;
  /** Sends a message of its own, now, past the queue. A dead man's switch takes it for a success. */
  test(channelName: string, signal: AbortSignal): Promise<void>;
}

export async function openNotifier(options: NotifierOptions): Promise<Notifier> {
  const outbox = await openOutbox(options.outboxDir, options.log);
  const notifier = new QueuedNotifier(options, outbox.store);
  for (const entry of outbox.entries) notifier.resume(entry);
  return notifier;
}

/** A directory that cannot be used (a full disk) is no reason to be silent. */
async function openOutbox(
  directory: string,
  log: Log,
): Promise<{ readonly store: Outbox | undefined; readonly entries: readonly Entry[] }> {
  try {
    const store = await Outbox.open(directory);
    return { store, entries: await store.load() };
  } catch (error) {
    log.error("The directory of undelivered notifications cannot be used; they wait in memory alone", {
      directory,
      reason: describeCause(error),
    });
    return { store: undefined, entries: [] };
  }
}

class QueuedNotifier implements Notifier {
  #told = 0;
  readonly #options: NotifierOptions;
  readonly #context: QueueContext;
  #channels: ReadonlyMap<string, Channel> = new Map();
  readonly #queues = new Map<string, ChannelQueue>();
  /** Queues of channels that are gone, while they close. */
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: NotifierOptions, outbox: Outbox | undefined) {
    this.#options = options;
    this.#context = { log: options.log, clock: options.clock, outbox, retryDelaysMs: options.retryDelaysMs ?? defaultRetryDelaysMs };
    this.replaceChannels(options.channels);
  }

  /** Takes over what an earlier process left. */
  resume(entry: Entry): void {
    const queue = this.#queues.get(entry.channel);
    if (queue !== undefined) return queue.resume(entry);
    this.#options.log.warn("An undelivered notification was given up: its channel is not in the config any more", {
      channel: entry.channel,
      title: entry.message.title,
    });
    this.#context.outbox
      ?.remove(entry)
      .catch((error: unknown) => this.#options.log.warn("It cannot be removed", { reason: describeCause(error) }));
  }

  /** Sorts in the order of telling, also within one millisecond: the outbox is read back by name. */
  #createEntryId(): string {
    this.#told += 1;
    const atMs = String(this.#options.clock.now()).padStart(15, "0");
    return `${atMs}-${String(this.#told).padStart(9, "0")}-${createId(0).slice(-6)}`;
  }

  tell(event: Notification, channelNames: readonly string[]): void {
    try {
      const message = { ...sanitizeNotification(event), id: createId(this.#options.clock.now()) };
      for (const name of new Set(channelNames)) {
        const channel = this.#channels.get(name);
        if (channel === undefined) this.#options.log.warn("A notification has no such channel", { channel: name });
        else if (wantsKind(channel, event.kind)) this.#queues.get(name)?.push({ id: this.#createEntryId(), channel: name, message });
      }
    } catch (error) {
      this.#options.log.error("A notification could not be queued", { title: event.title, reason: describeCause(error) });
    }
  }

  state(): readonly ChannelState[] {
    return [...this.#queues.values()].map((queue) => queue.describe());
  }

  replaceChannels(channels: ReadonlyMap<string, Channel>): void {
    for (const [name, queue] of this.#queues) {
      const channel = channels.get(name);
      if (channel !== undefined) queue.replaceChannel(channel);
      else {
        this.#queues.delete(name);
        const leaving = queue.clear().finally(() => this.#leaving.delete(leaving));
        this.#leaving.add(leaving);
      }
    }
    for (const [name, channel] of channels) if (!this.#queues.has(name)) this.#queues.set(name, new ChannelQueue(channel, this.#context));
    this.#channels = channels;
  }

  async test(channelName: string, signal: AbortSignal): Promise<void> {
    const channel = this.#channels.get(channelName);
    if (channel === undefined) throw new HoldfastError("unknown-name", `No notification channel is called "${channelName}"`);
    const { clock, host } = this.#options;
    const now = clock.now();
    const event = {
      at: new Date(now).toISOString(),
      host,
      kind: "success",
      title: `Holdfast on ${host}: test message`,
      text: "This channel works.",
      details: { test: true },
    } as const;
    await deliver(channel, { ...event, id: createId(now) }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const queues = [...this.#queues.values()];
    const { promise: grace, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, closeGraceMs);
    await Promise.race([Promise.all(queues.map(async (queue) => queue.settle())), grace]);
    clearTimeout(timer);
    await Promise.all([...queues.map(async (queue) => queue[Symbol.asyncDispose]()), ...this.#leaving]);
  }
}
