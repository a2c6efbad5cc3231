import { z } from "zod";
import { planDeletion } from "../operations/plan-deletion.ts";
import { planRestore } from "../operations/plan-restore.ts";
import { readReport } from "../operations/read-report.ts";
import { resolveBackup } from "../operations/resolve-backup.ts";
import { defineRoute, type Route } from "./route.ts";

const none = z.strictObject({});
const backupParams = z.strictObject({ backup: z.string() });
const scope = { job: z.string().exactOptional(), destination: z.string().exactOptional() };

/** What would happen, and what there is: nothing is changed. */
export const planRoutes: readonly Route[] = [
  defineRoute({
    method: "GET",
    path: "/backups/:backup/restore-plan",
    // It starts a process, and shows commands and places.
    access: "admin",
    summary: "What a restore of this backup would replace, and how",
    params: backupParams,
    query: z.strictObject({
      ...scope,
      /** Names with commas between. */
      datastores: z
        .string()
        .transform((text) => text.split(","))
        .exactOptional(),
    }),
    body: none,
    handle: ({ core }, { params, query, signal }) => {
      const { datastores, ...named } = query;
      const backup = resolveBackup(core, params.backup, named);
      return planRestore(core, { backup, ...(datastores === undefined ? {} : { datastores }) }, signal);
    },
  }),
  defineRoute({
    method: "GET",
    path: "/backups/:backup/deletion-plan",
    access: "read",
    summary: "A backup, and what speaks against its removal",
    params: backupParams,
    query: z.strictObject(scope),
    body: none,
    handle: ({ core }, { params, query }) => {
      const backup = resolveBackup(core, params.backup, query);
      return Promise.resolve({ backup, refusals: planDeletion(core, backup) });
    },
  }),
  defineRoute({
    method: "GET",
    path: "/restores",
    access: "read",
    summary: "Restores, newest first, with what can be undone",
    params: none,
    query: z.strictObject({ job: z.string().exactOptional(), limit: z.coerce.number().int().min(1).max(1000).default(20) }),
    body: none,
    handle: ({ core }, { query }) => Promise.resolve(core.catalog.restores.list(query)),
  }),
  defineRoute({
    method: "GET",
    path: "/report",
    access: "read",
    summary: "Per job the newest backups, the oldest, counts and sizes; per destination the space",
    params: none,
    query: none,
    body: none,
    handle: ({ core }, { signal }) => readReport(core, signal),
  }),
];
