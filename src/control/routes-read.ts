import { z } from "zod";
import { pickDefined } from "../base/pick-defined.ts";
import { describeVerdicts } from "../retention/plan-removal.ts";
import { planRetention } from "../operations/apply-retention.ts";
import { assertNamed, findJob } from "../operations/find-config.ts";
import { overrideRetention } from "../operations/override-retention.ts";
import { describeTask, readStatus } from "../operations/read-status.ts";
import { readManifest, readBackupText } from "../operations/show-backup.ts";
import { watchTask } from "../operations/watch-task.ts";
import { resolveBackup } from "../operations/resolve-backup.ts";
import { defineRoute, type Route } from "./route.ts";
import { planRoutes } from "./routes-plan.ts";
import { createUnknownTask } from "../queue/unknown-task.ts";

const none = z.strictObject({});
const limit = z.coerce.number().int().min(1).max(1000).default(50);
const backupClass = z.enum(["backup", "pre-restore"]);

/** Routes that change nothing: on both sockets. */
export const readRoutes: readonly Route[] = [
  defineRoute({
    method: "GET",
    path: "/status",
    access: "read",
    summary: "The state of everything",
    params: none,
    query: none,
    body: none,
    handle: ({ core }) => Promise.resolve(readStatus(core)),
  }),
  defineRoute({
    method: "GET",
    path: "/backups",
    access: "read",
    summary: "Backups, newest first",
    params: none,
    query: z.strictObject({ job: z.string().optional(), destination: z.string().optional(), class: backupClass.optional(), limit }),
    body: none,
    handle: ({ core: { config, catalog } }, { query }) => {
      assertNamed(config, query, (of) => catalog.backups.find({ ...of, limit: 1 }).length > 0);
      return Promise.resolve(catalog.backups.find(pickDefined(query)));
    },
  }),
  defineRoute({
    method: "GET",
    path: "/backups/:backup",
    access: "read",
    summary: "One backup with its manifest; by id, name, time or `latest`",
    params: z.strictObject({ backup: z.string() }),
    query: z.strictObject({ job: z.string().optional(), destination: z.string().optional() }),
    body: none,
    handle: async ({ core }, { params, query, signal }) => {
      const backup = resolveBackup(core, params.backup, query);
      return { backup, manifest: await readManifest(core, backup, signal) };
    },
  }),
  defineRoute({
    method: "GET",
    path: "/backups/:backup/texts/:text",
    access: "read",
    summary: "A generated text of a backup, for example backup_info.txt",
    params: z.strictObject({ backup: z.string(), text: z.string() }),
    query: z.strictObject({ job: z.string().optional(), destination: z.string().optional() }),
    body: none,
    handle: async ({ core }, { params, query, signal }) => ({
      text: await readBackupText(core, resolveBackup(core, params.backup, query), params.text, signal),
    }),
  }),
  defineRoute({
    method: "GET",
    path: "/runs",
    access: "read",
    summary: "Runs, newest first",
    params: none,
    query: z.strictObject({ job: z.string().optional(), limit }),
    body: none,
    handle: ({ core: { config, catalog } }, { query }) => {
      const runs = catalog.runs.list(pickDefined(query));
      assertNamed(config, query, () => runs.length > 0);
      return Promise.resolve(runs);
    },
  }),
  defineRoute({
    method: "GET",
    path: "/tasks/:task",
    access: "read",
    summary: "One task of the queue",
    params: z.strictObject({ task: z.string() }),
    query: none,
    body: none,
    handle: ({ core }, { params }) => {
      const task = core.queue.get(params.task);
      if (task === undefined) throw createUnknownTask(params.task);
      return Promise.resolve(describeTask(core, task, core.queue.explainWaiting(task.id)));
    },
  }),
  defineRoute({
    method: "GET",
    path: "/tasks/:task/watch",
    access: "read",
    summary: "A task's progress until it has ended; the last line tells the outcome",
    params: z.strictObject({ task: z.string() }),
    query: none,
    body: none,
    stream: "json-lines",
    handle: ({ core }, { params, signal }) => Promise.resolve(watchTask(core, params.task, signal)),
  }),
  defineRoute({
    method: "GET",
    path: "/jobs/:job/retention",
    access: "read",
    summary: "What retention would keep and remove, with reasons",
    params: z.strictObject({ job: z.string() }),
    query: z.strictObject({ destination: z.string().optional(), olderThan: z.string().optional() }),
    body: none,
    handle: ({ core }, { params, query }) => {
      const job = overrideRetention(findJob(core.config, params.job), query.olderThan);
      const destination = query.destination ?? job.destination;
      const sizes = new Map(core.catalog.backups.find({ job: job.name, destination }).map(({ id, storedBytes }) => [id, storedBytes]));
      return Promise.resolve(describeVerdicts(planRetention(core, job, destination), sizes, core.clock.now()));
    },
  }),
  defineRoute({
    method: "GET",
    path: "/audit",
    access: "read",
    summary: "What happened, newest first",
    params: none,
    query: z.strictObject({ limit }),
    body: none,
    handle: ({ core }, { query }) => Promise.resolve(core.catalog.audit.list({}, query.limit)),
  }),
  ...planRoutes,
];
