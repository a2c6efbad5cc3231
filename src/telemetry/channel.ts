import type { Secret } from "../base/secret.ts";
import type { NotificationKind } from "./notification.ts";

interface ChannelBase {
  readonly name: string;
  /** Of one attempt. */
  readonly timeoutMs: number;
}

/** A program that is run for each message: JSON on its standard input, the main fields in HOLDFAST_EVENT_*. */
export interface CommandTarget extends ChannelBase {
  readonly kind: "command";
  readonly command: readonly string[];
  readonly on: readonly NotificationKind[];
}

/** An address that each message is posted to as JSON. */
export interface WebhookTarget extends ChannelBase {
  readonly kind: "webhook";
  readonly url: Secret;
  readonly headers: Readonly<Record<string, Secret>>;
  readonly on: readonly NotificationKind[];
}

/** A dead man's switch: `url` at success, `url/start` and `url/fail`. */
export interface PingTarget extends ChannelBase {
  readonly kind: "ping";
  readonly url: Secret;
}

export type Channel = CommandTarget | WebhookTarget | PingTarget;

/** Whether a channel is to be told of this. */
export function wantsKind(channel: Channel, kind: NotificationKind): boolean {
  return channel.kind === "ping" ? choosePing(kind) !== undefined : channel.on.includes(kind);
}

/** What a dead man's switch is told; undefined for what says nothing about a run's outcome. */
export function choosePing(kind: NotificationKind): "start" | "success" | "fail" | undefined {
  if (kind === "start") return "start";
  if (kind === "success" || kind === "recovery") return "success";
  return kind === "failure" || kind === "partial" || kind === "suspect" ? "fail" : undefined;
}
