import { z } from "zod";
import { channelEvents } from "../../base/channel-events.ts";
import type { ChannelConfig } from "../config.ts";
import { durationField, secretField } from "../../base/fields.ts";
import { commandField } from "./fields.ts";

const defaultEvents = ["failure", "partial", "suspect", "damaged", "absence", "low-space", "recovery"] as const;
const on = z
  .array(z.enum(channelEvents))
  .min(1)
  .optional()
  .describe(`What it is told of; by default ${defaultEvents.join(", ")}.`);
const timeout = durationField("Given up after it; 30s by default.", { minMs: 1, maxMs: 3_600_000 }).optional();
const timeoutMs = 30_000;

export const channelKinds = ["command", "webhook", "ping"] as const;
export type ChannelKind = (typeof channelKinds)[number];

export const channelSchemas = {
  command: z
    .strictObject({ kind: z.literal("command"), command: commandField, on, timeout })
    .describe("Runs a program; the message is on its standard input."),
  webhook: z
    .strictObject({
      kind: z.literal("webhook"),
      url: secretField,
      headers: z.record(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/), secretField).optional(),
      on,
      timeout,
    })
    .describe("Posts the message as JSON."),
  ping: z
    .strictObject({ kind: z.literal("ping"), url: secretField, timeout })
    .describe("A dead man's switch: start, success and failure of every run are reported to an address."),
} as const;

type Parsed<Kind extends ChannelKind> = z.output<(typeof channelSchemas)[Kind]>;

export function createChannel(name: string, parsed: Parsed<ChannelKind>): ChannelConfig {
  const base = { name, timeoutMs: parsed.timeout ?? timeoutMs };
  switch (parsed.kind) {
    case "command":
      return { ...base, kind: parsed.kind, command: parsed.command, on: parsed.on ?? defaultEvents };
    case "webhook":
      return { ...base, kind: parsed.kind, url: parsed.url, headers: parsed.headers ?? {}, on: parsed.on ?? defaultEvents };
    case "ping":
      return { ...base, kind: parsed.kind, url: parsed.url };
  }
}
