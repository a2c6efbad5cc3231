import { z } from "zod";
import { HoldfastError } from "../base/errors.ts";

const removal = z.object({ id: z.string(), folder: z.string(), manifestKey: z.string(), reasons: z.array(z.string()) });

/** What a task is to do, as the queue keeps it: names and ids, never secrets; everything else is resolved when it starts. */
export const payloadSchema = z.discriminatedUnion("operation", [
  z.object({
    operation: z.literal("backup"),
    job: z.string(),
    trigger: z.string(),
    note: z.string().nullable(),
    destination: z.string(),
    datastores: z.array(z.string()),
  }),
  z.object({ operation: z.literal("verify"), job: z.string(), destination: z.string(), backupId: z.string() }),
  z.object({ operation: z.literal("drill"), job: z.string(), destination: z.string(), backupId: z.string() }),
  z.object({
    operation: z.literal("restore"),
    job: z.string(),
    restoreId: z.string(),
    destination: z.string(),
    backupId: z.string(),
    /** What is restored into, by the names of the config. */
    datastores: z.array(z.string()),
    /** Of which member of the backup, where that has another name. */
    from: z.record(z.string(), z.string()).exactOptional(),
    /** Into a new database of this name on the datastore's server, which must not be there yet. */
    databases: z.record(z.string(), z.string()).exactOptional(),
    /** `none`: nobody is stopped or started. The job's by default. */
    hooks: z.literal("none").exactOptional(),
    /** Only these of the one datastore. */
    tables: z.array(z.string()).exactOptional(),
    paths: z.array(z.string()).exactOptional(),
    /** What each datastore meant when this was asked for, as describeMeaning tells it: a reload may bring another place or server. */
    meant: z.record(z.string(), z.string()).exactOptional(),
    /** Why the backup may not belong there, which nobody has accepted: refused where something is replaced. */
    origin: z.array(z.string()).exactOptional(),
    unsavable: z.enum(["refuse", "raw"]),
    start: z.enum(["yes", "no"]),
    /** Whether the restored data stays when a check fails; `no` when absent. */
    keep: z.enum(["yes", "no"]).exactOptional(),
    /** The restore that this one undoes. */
    undoes: z.string().nullable(),
  }),
  z.object({
    operation: z.literal("remove"),
    job: z.string(),
    destination: z.string(),
    removals: z.array(removal),
    why: z.enum(["retention", "delete"]),
    /** For this call in the place of the job's retention. */
    olderThan: z.string().exactOptional(),
  }),
  z.object({
    operation: z.literal("scratch"),
    job: z.string(),
    destination: z.string(),
    backupId: z.string(),
    scratchId: z.string(),
    datastores: z.array(z.string()),
  }),
  z.object({ operation: z.literal("unscratch"), job: z.string(), scratchId: z.string() }),
  z.object({ operation: z.literal("copy"), job: z.string(), destination: z.string(), backupId: z.string(), to: z.string() }),
]);

export type TaskPayload = z.infer<typeof payloadSchema>;
export type PayloadOf<Operation extends TaskPayload["operation"]> = Extract<TaskPayload, { operation: Operation }>;

export function parsePayload(value: unknown): TaskPayload {
  const parsed = payloadSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new HoldfastError("state-newer", "A task in the queue was written by another version", { hint: "Cancel it and ask for it again." });
}

/** Whether a task reads or writes a backup: it must not be removed meanwhile. */
export function usesBackup(payload: unknown, backupId: string): boolean {
  const parsed = payloadSchema.safeParse(payload);
  return parsed.success && "backupId" in parsed.data && parsed.data.backupId === backupId;
}
