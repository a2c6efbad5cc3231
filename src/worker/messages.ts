import { z } from "zod";
import type { ErrorReport } from "../base/errors.ts";

/** Both sides are always of one build; the number tells a stray child of another build apart. */
export const protocolVersion = 1;

const progressSchema = z.object({
  phase: z.string(),
  datastore: z.string().optional(),
  bytes: z.number().optional(),
  totalBytes: z.number().optional(),
});
const logLevel = z.enum(["info", "warn", "error"]);

/** Parent to worker. The input travels here and not in arguments or the environment: it may hold secrets. */
export const orderSchema = z.discriminatedUnion("type", [
  z.object({ v: z.literal(protocolVersion), type: z.literal("start"), kind: z.string(), input: z.unknown() }),
  z.object({ v: z.literal(protocolVersion), type: z.literal("cancel"), error: z.custom<ErrorReport>() }),
]);

/** Worker to parent. */
export const reportSchema = z.discriminatedUnion("type", [
  z.object({ v: z.literal(protocolVersion), type: z.literal("ready") }),
  z.object({ v: z.literal(protocolVersion), type: z.literal("progress"), progress: progressSchema }),
  z.object({
    v: z.literal(protocolVersion),
    type: z.literal("log"),
    level: logLevel,
    message: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
  z.object({ v: z.literal(protocolVersion), type: z.literal("done"), result: z.unknown() }),
  z.object({ v: z.literal(protocolVersion), type: z.literal("failed"), error: z.custom<ErrorReport>() }),
]);

export type WorkerOrder = z.infer<typeof orderSchema>;
export type WorkerReport = z.infer<typeof reportSchema>;
export type WorkerProgress = z.infer<typeof progressSchema>;
export type WorkerLogLevel = z.infer<typeof logLevel>;
