import { z } from "zod";
import { durationField } from "../base/fields.ts";
import { resolveBackup } from "../operations/resolve-backup.ts";
import { describeScratches } from "../operations/scratch/describe-scratches.ts";
import { requestScratch, requestScratchRemoval } from "../operations/scratch/request-scratch.ts";
import type { Requested } from "../operations/request-task.ts";
import { defineRoute, type Route } from "./route.ts";

const none = z.strictObject({});

const interactive = (idempotencyKey: string | undefined): Requested => ({
  requester: "socket",
  priority: "interactive",
  // The queue's own keys, for slots of schedules, are not for clients to take.
  ...(idempotencyKey === undefined ? {} : { idempotencyKey: `client:${idempotencyKey}` }),
});

/** Backups that are restored to be looked into. */
export const scratchRoutes: readonly Route[] = [
  defineRoute({
    method: "GET",
    path: "/scratch",
    access: "read",
    summary: "Scratch places, oldest first: what they hold, and until when",
    params: none,
    query: none,
    body: none,
    handle: ({ core }) => Promise.resolve(describeScratches(core.config.settings.stateDir, core.clock.now())),
  }),
  defineRoute({
    method: "POST",
    path: "/backups/:backup/scratch",
    access: "admin",
    summary: "Restore a backup into a scratch place, to be looked into",
    params: z.strictObject({ backup: z.string() }),
    query: none,
    body: z.strictObject({
      job: z.string().optional(),
      destination: z.string().optional(),
      datastores: z.array(z.string()).min(1).optional(),
      keepFor: durationField("How long it is kept; settings.scratchKeep by default.", { minMs: 60_000 }).optional(),
      doubtful: z.enum(["refuse", "accept"]).default("refuse"),
    }),
    handle: async ({ core }, { params, body, signal, idempotencyKey }) => {
      const { datastores, keepFor, doubtful, ...scope } = body;
      const backup = resolveBackup(core, params.backup, scope);
      const { task, id } = await requestScratch(
        core,
        {
          ...interactive(idempotencyKey),
          backup,
          doubtful,
          ...(datastores === undefined ? {} : { datastores }),
          ...(keepFor === undefined ? {} : { keepMs: keepFor }),
        },
        signal,
      );
      return { task: task.id, scratch: id, backup: backup.name };
    },
  }),
  defineRoute({
    method: "DELETE",
    path: "/scratch/:scratch",
    access: "admin",
    summary: "Remove a scratch place",
    params: z.strictObject({ scratch: z.string() }),
    query: none,
    body: none,
    handle: async ({ core }, { params, signal, idempotencyKey }) => {
      const task = await requestScratchRemoval(core, params.scratch, interactive(idempotencyKey), signal);
      return { task: task.id };
    },
  }),
];
