import { z } from "zod";
import { chooseUndo } from "../operations/choose-undo.ts";
import { pickParts } from "../operations/parts.ts";
import { planDeletion } from "../operations/plan-deletion.ts";
import { planRestore } from "../operations/plan-restore.ts";
import { readReport } from "../operations/read-report.ts";
import { resolveBackup } from "../operations/resolve-backup.ts";
import { defineRoute, type Route } from "./route.ts";

const none = z.strictObject({});
const backupParams = z.strictObject({ backup: z.string() });
const nameList = z
  .string()
  .transform((text, context) => readNames(text) ?? context.addIssue({ code: "custom", message: "not a JSON list of names" }))
  .pipe(z.array(z.string()).min(1));
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
      /** A JSON list: a table's name may hold anything. */
      tables: nameList.exactOptional(),
      /** The same, of paths and globs. */
      paths: nameList.exactOptional(),
      /** A JSON list of `MEMBER=TARGET`, or of one target: a datastore of the config, or `database:NAME`. */
      to: nameList.exactOptional(),
    }),
    body: none,
    handle: ({ core }, { params, query, signal }) => {
      const { datastores, tables, paths, to, ...named } = query;
      const backup = resolveBackup(core, params.backup, named);
      const chosen = {
        ...(datastores === undefined ? {} : { datastores }),
        ...pickParts({ tables, paths }),
        ...(to === undefined ? {} : { to }),
      };
      const chosenAs = params.backup === "latest" ? { chosenAs: "latest" as const } : {};
      return planRestore(core, { backup, ...chosen, ...chosenAs }, signal);
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
      return Promise.resolve({ backup, ...planDeletion(core, backup) });
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
    path: "/undo",
    access: "read",
    summary: "Which restore an undo takes back: the newest, or the one with an id",
    params: none,
    query: z.strictObject({ restore: z.string().exactOptional() }),
    body: none,
    handle: ({ core }, { query }) => Promise.resolve(chooseUndo(core, query.restore)),
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

function readNames(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
