import { HoldfastError } from "../base/errors.ts";
import type { Channel } from "./channel.ts";
import { deliverByCommand } from "./deliver-by-command.ts";
import { deliverByPing, deliverByWebhook } from "./deliver-by-http.ts";
import type { Message } from "./notification.ts";
import { describeDuration } from "../base/parse-duration.ts";

/**
 * One attempt to deliver a message within the channel's time limit. No error text shows an address, a header or an argument.
 * @throws destination-failed, timeout, tool-failed, cancelled; `retryable` says whether another attempt has a chance
 */
export async function deliver(channel: Channel, message: Message, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.timeout(channel.timeoutMs);
  const either = AbortSignal.any([signal, limit]);
  try {
    switch (channel.kind) {
      case "command":
        return await deliverByCommand(channel, message, either);
      case "webhook":
        return await deliverByWebhook(channel, message, either);
      case "ping":
        return await deliverByPing(channel, message, either);
    }
  } catch (error) {
    if (signal.aborted) throw new HoldfastError("cancelled", "the delivery was stopped", { cause: error });
    if (limit.aborted) throw new HoldfastError("timeout", `no answer within ${describeDuration(channel.timeoutMs)}`);
    throw error;
  }
}
