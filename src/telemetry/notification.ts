import { channelEvents } from "../base/channel-events.ts";
import { redactText, redactValue } from "./redact.ts";

const notificationKinds = [...channelEvents, "start"] as const;
/** What happened. `recovery`: a success, or an end of an alarm, after a failure. `start`: a run began; for dead man's switches only. */
export type NotificationKind = (typeof notificationKinds)[number];

/** What is told to channels. Holds no secrets: `sanitizeNotification` sees to that before anything leaves or is stored. */
export interface Notification {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly host: string;
  readonly job?: string;
  readonly kind: NotificationKind;
  /** One line. */
  readonly title: string;
  readonly text: string;
  readonly runId?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A notification on its way to one channel; the id lets a receiver see that it was told twice. */
export interface Message extends Notification {
  readonly id: string;
}

const maxTextChars = 16_000;
const maxTitleChars = 300;

/** A plain copy that is safe to show and to store: one-line title, no control characters, no secrets, bounded. */
export function sanitizeNotification(event: Notification): Notification {
  return {
    at: event.at,
    host: clean(event.host, maxTitleChars),
    ...(event.job === undefined ? {} : { job: clean(event.job, maxTitleChars) }),
    kind: event.kind,
    title: clean(event.title.replaceAll(/\s+/g, " ").trim(), maxTitleChars),
    text: clean(event.text, maxTextChars),
    ...(event.runId === undefined ? {} : { runId: event.runId }),
    details: redactValue(event.details) as Record<string, unknown>,
  };
}

function clean(text: string, maxChars: number): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  const plain = redactText(text).replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, " ");
  return plain.length > maxChars ? `${plain.slice(0, maxChars)}…` : plain;
}

/** Checks what an outbox file holds. Undefined when it is no message. */
export function parseMessage(value: unknown): Message | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const texts = ["id", "at", "host", "kind", "title", "text"].every((name) => typeof fields[name] === "string");
  const known = notificationKinds.some((kind) => kind === fields["kind"]);
  const optional = ["job", "runId"].every((name) => fields[name] === undefined || typeof fields[name] === "string");
  const details = typeof fields["details"] === "object" && fields["details"] !== null;
  return texts && known && optional && details ? (value as Message) : undefined;
}
