import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import type { Config } from "../config/config.ts";
import { deliver } from "../telemetry/deliver.ts";
import { sanitizeNotification, type Notification } from "../telemetry/notification.ts";

const retryDelaysMs = [1_000, 5_000] as const;

export interface Told {
  readonly channel: string;
  readonly outcome: "told" | "failed";
  readonly problem: string | null;
}

/** Tells channels without the daemon and its outbox: now or not at all. One channel's trouble keeps no other from its message. */
export async function tellChannels(
  config: Config,
  event: Notification,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly Told[]> {
  return await Promise.all(
    names.map(async (channel) => {
      try {
        await tellChannel(config, event, channel, signal);
        return { channel, outcome: "told", problem: null } as const;
      } catch (error) {
        return { channel, outcome: "failed", problem: describeCause(error) } as const;
      }
    }),
  );
}

/** @throws unknown-name, or what made the last attempt fail */
async function tellChannel(config: Config, event: Notification, name: string, signal: AbortSignal): Promise<void> {
  const channel = config.channels.get(name);
  if (channel === undefined) throw new HoldfastError("unknown-name", `There is no notification channel "${name}"`);
  const message = { ...sanitizeNotification(event), id: createId(Date.now()) };
  for (const delayMs of [...retryDelaysMs, undefined]) {
    try {
      return await deliver(channel, message, signal);
    } catch (error) {
      if (delayMs === undefined || !(error instanceof HoldfastError) || !error.retryable) throw error;
      await delay(delayMs, undefined, { signal });
    }
  }
}
