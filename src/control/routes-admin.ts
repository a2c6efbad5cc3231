import { z } from "zod";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { planRetention, requestRemovals } from "../operations/apply-retention.ts";
import { findJob } from "../operations/find-config.ts";
import { markBackup } from "../operations/mark-backup.ts";
import { overrideRetention } from "../operations/override-retention.ts";
import { requestCopy } from "../operations/request-copy.ts";
import { requestRestore, requestUndo } from "../operations/request-restore.ts";
import { requestBackup, requestProof, type Requested } from "../operations/request-task.ts";
import { syncDestination } from "../operations/sync-destination.ts";
import { pickParts } from "../operations/parts.ts";
import { createStaysError } from "../operations/describe-deletion.ts";
import { planDeletion } from "../operations/plan-deletion.ts";
import { resolveBackup } from "../operations/resolve-backup.ts";
import { defineRoute, type Route } from "./route.ts";

const none = z.strictObject({});
const backupParams = z.strictObject({ backup: z.string() });
const jobParams = z.strictObject({ job: z.string() });
const text = z.string().max(1000);
const scope = { job: z.string().optional(), destination: z.string().optional() };

const interactive = (idempotencyKey: string | undefined): Requested => ({
  requester: "socket",
  priority: "interactive",
  // The queue's own keys, for slots of schedules, are not for clients to take.
  ...(idempotencyKey === undefined ? {} : { idempotencyKey: `client:${idempotencyKey}` }),
});

/** Routes that change something: on the admin socket alone. */
export const adminRoutes: readonly Route[] = [
  defineRoute({
    method: "POST",
    path: "/jobs/:job/backups",
    access: "admin",
    summary: "Ask for a backup of a job",
    params: jobParams,
    query: none,
    body: z.strictObject({ note: text.optional(), destination: z.string().optional(), datastores: z.array(z.string()).min(1).optional() }),
    handle: async ({ core }, { params, body, signal, idempotencyKey }) => {
      const { note, destination, datastores } = body;
      const { task, joined } = await requestBackup(
        core,
        {
          ...interactive(idempotencyKey),
          job: params.job,
          trigger: "manual",
          ...(note === undefined ? {} : { note }),
          ...(destination === undefined ? {} : { destination }),
          ...(datastores === undefined ? {} : { datastores }),
        },
        signal,
      );
      return { task: task.id, joined };
    },
  }),
  ...(["verify", "drill"] as const).map((operation) =>
    defineRoute({
      method: "POST",
      path: `/backups/:backup/${operation}`,
      access: "admin",
      summary: operation === "verify" ? "Read a stored backup to its end" : "Restore a backup into a scratch place and compare",
      params: backupParams,
      query: none,
      body: z.strictObject(scope),
      handle: async ({ core }, { params, body, signal, idempotencyKey }) => {
        const backup = resolveBackup(core, params.backup, body);
        const { task, joined } = await requestProof(core, { ...interactive(idempotencyKey), operation, backup }, signal);
        return { task: task.id, joined, backup: backup.name };
      },
    }),
  ),
  defineRoute({
    method: "POST",
    path: "/backups/:backup/restore",
    access: "admin",
    summary: "Restore a backup to where its datastores live by the config, or into others of the config",
    params: backupParams,
    query: none,
    body: z.strictObject({
      ...scope,
      datastores: z.array(z.string()).min(1).optional(),
      tables: z.array(z.string()).min(1).optional(),
      paths: z.array(z.string()).min(1).optional(),
      /** Elsewhere, of these members alone: `{member: datastore of the config}`, or `database:NAME` for a new one on the member's server. */
      to: z
        .record(z.string(), z.string())
        .refine((to) => Object.keys(to).length > 0, "names no member")
        .optional(),
      unsavable: z.enum(["refuse", "raw"]).default("refuse"),
      start: z.enum(["yes", "no"]).default("yes"),
      keep: z.enum(["yes", "no"]).default("no").describe("Whether the restored data stays when a check fails."),
      doubtful: z.enum(["refuse", "accept"]).default("refuse"),
    }),
    handle: async ({ core }, { params, body, signal, idempotencyKey }) => {
      const backup = resolveBackup(core, params.backup, body);
      const { unsavable, start, keep, doubtful, datastores, tables, paths, to } = body;
      const request = {
        ...interactive(idempotencyKey),
        backup,
        unsavable,
        start,
        keep,
        doubtful,
        ...(datastores === undefined ? {} : { datastores }),
        ...pickParts({ tables, paths }),
        ...(to === undefined ? {} : { to }),
      };
      const { task, joined } = await requestRestore(core, request, signal);
      return { task: task.id, joined, backup: backup.name };
    },
  }),
  defineRoute({
    method: "POST",
    path: "/undo",
    access: "admin",
    summary: "Undo the newest restore, or the one with an id",
    params: none,
    query: none,
    body: z.strictObject({
      restore: z.string().optional(),
      start: z.enum(["yes", "no"]).default("yes"),
      keep: z.enum(["yes", "no"]).default("no").describe("Whether what is brought back stays when a check fails."),
    }),
    handle: async ({ core }, { body, signal, idempotencyKey }) => {
      const request = {
        ...interactive(idempotencyKey),
        start: body.start,
        keep: body.keep,
        ...(body.restore === undefined ? {} : { restoreId: body.restore }),
      };
      const { task, joined } = await requestUndo(core, request, signal);
      return { task: task.id, joined };
    },
  }),
  defineRoute({
    method: "POST",
    path: "/jobs/:job/prune",
    access: "admin",
    summary: "Apply a job's retention now",
    params: jobParams,
    query: none,
    body: z.strictObject({ destination: z.string().optional(), olderThan: z.string().optional() }),
    handle: ({ core }, { params, body }) => {
      const job = overrideRetention(findJob(core.config, params.job), body.olderThan);
      const destination = body.destination ?? job.destination;
      return Promise.resolve({
        task: requestRemovals(core, job.name, destination, planRetention(core, job, destination), "retention", body.olderThan) ?? null,
      });
    },
  }),
  defineRoute({
    method: "POST",
    path: "/backups/:backup/copy",
    access: "admin",
    summary: "Copy a backup to another destination",
    params: backupParams,
    query: none,
    body: z.strictObject({ ...scope, to: z.string() }),
    handle: ({ core }, { params, body }) => {
      const backup = resolveBackup(core, params.backup, body);
      return Promise.resolve({ task: requestCopy(core, backup, body.to, "socket").id, backup: backup.name });
    },
  }),
  defineRoute({
    method: "DELETE",
    path: "/backups/:backup",
    access: "admin",
    summary: "Remove one backup on purpose",
    params: backupParams,
    query: z.strictObject({ ...scope, force: z.enum(["yes", "no"]).default("no") }),
    body: none,
    handle: ({ core }, { params, query }) => {
      const backup = resolveBackup(core, params.backup, query);
      const plan = planDeletion(core, backup);
      if (plan.refusals.length > 0 && query.force === "no") throw createStaysError(backup, plan);
      const verdict = {
        id: backup.id,
        name: backup.name,
        createdAtMs: backup.createdAtMs,
        action: "remove" as const,
        reasons: ["removed on purpose"],
      };
      return Promise.resolve({
        task: requestRemovals(core, backup.job, backup.destination, [verdict], "delete") ?? null,
        backup: backup.name,
      });
    },
  }),
  defineRoute({
    method: "POST",
    path: "/backups/:backup/marks",
    access: "admin",
    summary: "Pin, unpin, accept a suspect backup, or add a note",
    params: backupParams,
    query: none,
    body: z.strictObject({ ...scope, mark: z.enum(["pinned", "unpinned", "accepted", "note"]), text: text.default("") }),
    handle: async ({ core }, { params, body, signal }) => {
      const backup = resolveBackup(core, params.backup, body);
      if (body.mark === "accepted" && backup.suspect.length === 0) {
        throw new HoldfastError("conflict", `${backup.name} is not suspect: there is nothing to accept`, {
          hint: "`holdfast list` shows which backups are.",
        });
      }
      const at = formatInstant(core.clock.now());
      const event = {
        pinned: { at, event: "pinned", reason: body.text },
        unpinned: { at, event: "unpinned" },
        accepted: { at, event: "accepted", reason: body.text },
        note: { at, event: "note", text: body.text },
      } as const;
      const marked = await markBackup(core, backup, event[body.mark], signal);
      core.catalog.audit.record({
        atMs: core.clock.now(),
        actor: "socket",
        action: `backup.${body.mark}`,
        subject: backup.name,
        outcome: "ok",
        details: { id: backup.id, text: body.text },
      });
      return marked;
    },
  }),
  defineRoute({
    method: "DELETE",
    path: "/tasks/:task",
    access: "admin",
    summary: "Cancel a task",
    params: z.strictObject({ task: z.string() }),
    query: none,
    body: none,
    handle: ({ core }, { params }) => Promise.resolve({ task: params.task, state: core.queue.cancel(params.task).state }),
  }),
  ...(["pause", "resume"] as const).map((verb) =>
    defineRoute({
      method: "POST",
      path: `/${verb}`,
      access: "admin",
      summary: verb === "pause" ? "Start nothing new, of one job or of all" : "Go on after a pause",
      params: none,
      query: none,
      body: z.strictObject({ job: z.string().optional(), reason: text.optional() }),
      handle: ({ core }, { body }) => {
        const job = body.job === undefined ? {} : { job: findJob(core.config, body.job).name };
        if (verb === "pause") core.queue.pause({ ...job, ...(body.reason === undefined ? {} : { reason: body.reason }) });
        else core.queue.resume(job);
        return Promise.resolve({ pauses: core.queue.pauses() });
      },
    }),
  ),
  defineRoute({
    method: "POST",
    path: "/reload",
    access: "admin",
    summary: "Read the config again; all of it or nothing",
    params: none,
    query: none,
    body: none,
    handle: ({ reload }, { signal }) => reload(signal),
  }),
  defineRoute({
    method: "POST",
    path: "/rebuild",
    access: "admin",
    summary: "Read the catalog anew from the destinations",
    params: none,
    query: none,
    body: z.strictObject({ destination: z.string().optional() }),
    handle: async ({ core }, { body, signal }) => {
      const names = body.destination === undefined ? [...core.config.destinations.keys()] : [body.destination];
      const found = [];
      for (const name of names) {
        const { added, changed, vanished, unreadable } = await syncDestination(core, name, signal);
        found.push({
          destination: name,
          added: added.length,
          changed: changed.length,
          vanished: vanished.map(({ name: gone }) => gone),
          unreadable,
        });
      }
      return { destinations: found };
    },
  }),
];
