import { InvalidArgumentError } from "commander";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { assertRestoreFits } from "../operations/forecast-restore.ts";
import { describePassedOver } from "../operations/passed-over.ts";
import { createDoubtError } from "../operations/list-doubts.ts";
import { pickParts } from "../operations/parts.ts";
import type { RestorePlan } from "../operations/plan-restore.ts";
import { askYesNo, confirmNameOrFail } from "./ask.ts";
import { chooseRestore, type ChosenBackup } from "./choose-restore.ts";
import { classifyTo } from "./classify-to.ts";
import { describePlan, findConfirmedName } from "./describe-plan.ts";
import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { TaskOutcome } from "./follow-task.ts";
import { restoreToScratch } from "./restore-to-scratch.ts";
import { parseSpan } from "./parse-span.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options extends ScopeOptions {
  readonly only?: readonly string[];
  readonly table?: readonly string[];
  readonly path?: readonly string[];
  readonly plan?: boolean;
  readonly yes?: boolean;
  /** Absent unless --start or --no-start was given. */
  readonly start?: boolean;
  readonly keep?: boolean;
  readonly unsavable?: "raw";
  readonly acceptDoubtful?: boolean;
  readonly detach?: boolean;
  readonly latest?: boolean;
  readonly offline?: string;
  readonly to?: readonly string[];
  readonly keepFor?: string;
  readonly saveTo?: string;
}

export const restoreVerb: Verb = {
  name: "restore",
  help: {
    exits: {
      0: "restored, verified, started and checked",
      1: "failed: the data is as it was, and the application was started again",
      3: "restored and verified, but the application could not be started or, with --keep, did not pass its checks",
      4: "no such backup or datastore",
      5: "busy, cancelled, or the wait was interrupted",
      6: "the backup is damaged or incomplete: nothing was touched",
      7: "not confirmed (on a terminal the name of what is overwritten is typed), or the backup is doubtful and --accept-doubtful was not given",
    },
    json: "{task, state, summary, runId, backupId, details: {restoreId, backup, preRestore, members: [{datastore, method}], unstarted, unhealthy, unproven, removals}, passedOver: [{name, reasons}]}; with --to /DIRECTORY {backup, directory, restored, notes}; with --to scratch details: {id, backup, until, members: [{datastore, kind, place, bytes, access, notes}]}; with --plan {backup, passedOver, expected: {ms, basis, at, backup} | null, space: [{place, neededBytes, freeBytes, fits}] | null, doubts, datastores: [{datastore, kind, to, status, plainBytes, entries, places, now: {summary, present, bytes, newestChangeAt, changes, contents}, contents, differences: [{name, what, now, coming}], method, neededBytes, users, notes, problem}], to, tables, paths, untouched, losses, stop, start, check, askToStart, hooksNote, undo: {keepMs, keepLast}}; null is unknown",
    examples: [
      "holdfast restore                                    # on a terminal: pick the job, the backup, the datastores",
      "holdfast restore --offline /mnt/rescued --latest    # on a bare machine",
      "holdfast restore latest --job nightly --plan",
      "holdfast restore duck_backup_20260101_030000.tar.gz # by bare file name, or by path",
      "holdfast restore latest --job nightly --only crm --yes",
      'holdfast restore latest --job nightly --only crm --table Users --table "sales.Orders"',
      "holdfast restore latest --job nightly --only uploads --path 'avatars/*.png' --path terms.txt",
      "holdfast restore latest --job nightly --only crm --to crm_staging    # into another datastore of the config",
      "holdfast restore latest --job nightly --only crm --to database:crm_old",
      "holdfast restore latest --job nightly --to /srv/rescue               # files, below an empty directory",
      "holdfast restore latest --job nightly --to scratch --keep-for 3d     # to look into; see `holdfast scratch`",
      "holdfast restore --offline /mnt/rescued/duck_backup_20260101_030000.tar.gz",
    ],
  },
  define(command, run) {
    command
      .description("Bring a backup back: it ends verified, or with the data as it was")
      .argument("[backup]", `${backupForms}, or \`latest\`; on a terminal it may be left out`)
      .option("--job <job>", "of this job")
      .option("--destination <name>", "the copy at this destination")
      .option("--only <datastore...>", "only these datastores of the backup")
      .option("--table <name...>", "only these tables, the rest untouched (PostgreSQL, SQLite; of one datastore)")
      .option("--path <path...>", "only these paths or globs, the rest untouched (files; of one datastore)")
      .option("--latest", "the newest complete, verified backup; newer ones that were passed over are told")
      .option("--plan", "show what would happen, and do nothing")
      .option("-y, --yes", "do not ask")
      .option("--start", "start the application again without asking")
      .option("--no-start", "leave the application stopped")
      .option("--keep", "keep the restored data even when a health check fails")
      .option("--unsavable <how>", "`raw`: present data that cannot be backed up is moved aside as it is", parseUnsavable)
      .option("--accept-doubtful", "take a backup that is unverified, partial, suspect or damaged as it is")
      .option("--detach", "print the task and do not wait")
      .option("--offline <path>", "from this backup or directory, with no daemon, catalog or config")
      .option(
        "--to <target>",
        "elsewhere: another datastore of the config, `database:NAME` (a new one), /DIRECTORY, or `scratch`; MEMBER=TARGET for several; with --offline a directory",
        (target: string, others: readonly string[] | undefined) => [...(others ?? []), target],
      )
      .option(
        "--keep-for <time>",
        "with --to scratch: remove it by itself after this time (default: settings.scratchKeep)",
        parseSpan({ minMs: 60_000 }),
      )
      .option("--save-to <directory>", "with --offline: where the present data is saved first")
      .action((backup: string | undefined, options: Options) => run((context) => restore(backup, options, context)));
  },
};

async function restore(backup: string | undefined, options: Options, context: VerbContext): Promise<number> {
  if (backup !== undefined && options.latest === true && backup !== "latest") {
    throw new HoldfastError("usage", `Both --latest and ${backup} name a backup`, { hint: "Leave one of them out." });
  }
  const given = options.latest === true ? "latest" : backup;
  if (options.offline !== undefined) return await restoreWithoutDaemon(options.offline, given, options, context);
  if (options.saveTo !== undefined) {
    throw new HoldfastError("usage", "--save-to is only for --offline", {
      hint: "With the daemon what is there is saved at the job's destination.",
    });
  }
  const place = options.to === undefined ? undefined : classifyTo(options.to);
  if (options.keepFor !== undefined && place?.kind !== "scratch") throw new HoldfastError("usage", "--keep-for is only for --to scratch");
  const { terminal, signal } = context;
  const client = await context.connect();
  const chosen: ChosenBackup =
    given === undefined ? await chooseRestore(client, options, context) : { text: given, scope: pickScope(options) };
  const only = chosen.only ?? options.only;
  const elsewhere = { ...options, ...(only === undefined ? {} : { only }), scope: chosen.scope };
  if (place?.kind === "directory") {
    const { restoreToDirectory } = await import("./restore-to-directory.ts");
    return await restoreToDirectory(client, chosen.text, place.path, elsewhere, context);
  }
  if (place?.kind === "scratch") return await restoreToScratch(client, chosen.text, elsewhere, context);
  const query = {
    ...chosen.scope,
    ...(place === undefined ? {} : { to: JSON.stringify(place.targets) }),
    ...(only === undefined ? {} : { datastores: only.join(",") }),
    ...(options.table === undefined ? {} : { tables: JSON.stringify(options.table) }),
    ...(options.path === undefined ? {} : { paths: JSON.stringify(options.path) }),
  };
  const plan = await client.send<RestorePlan>({ method: "GET", path: createBackupPath(chosen.text, "/restore-plan", query) }, signal);
  if (options.plan === true) {
    if (terminal.json === "json") terminal.printJson(plan);
    else for (const line of describePlan(plan, terminal)) terminal.print(line);
    return 0;
  }
  if (terminal.json === "text") for (const line of describePlan(plan, terminal)) terminal.tell(line);
  refuseDoubtful(plan, options);
  // Somebody who is asked is told before, and not by a task that fails.
  if (options.yes !== true && options.unsavable === undefined) assertRestoreFits(plan.space ?? []);
  await confirmNameOrFail(terminal, { message: describeQuestion(plan), name: findConfirmedName(plan), yes: options.yes === true }, signal);
  const body = {
    ...chosen.scope,
    destination: plan.backup.destination,
    start: await decideStart(plan, options, context),
    ...(plan.to === null ? {} : { to: plan.to }),
    ...(only === undefined ? {} : { datastores: only }),
    ...pickParts({ tables: options.table, paths: options.path }),
    ...(options.keep === true ? { keep: "yes" } : {}),
    ...(options.unsavable === undefined ? {} : { unsavable: options.unsavable }),
    ...(options.acceptDoubtful === true ? { doubtful: "accept" } : {}),
  };
  // By id: `latest` may be another one by now.
  const asked = await client.send<AskedTask>({ method: "POST", path: createBackupPath(plan.backup.id, "/restore"), body }, signal);
  return await finishAsked(context, client, asked, {
    ...(options.detach === undefined ? {} : { detach: options.detach }),
    describe: (outcome) => describeAfter(outcome, plan, body.start),
    more: { passedOver: plan.passedOver },
  });
}

function describeQuestion({ tables, paths, to, datastores, backup }: RestorePlan): string {
  const parts = tables ?? paths;
  const what = parts === null ? "" : `${parts.join(", ")} in `;
  if (to === null) return `Replace ${what}${datastores.map(({ datastore }) => datastore).join(", ")} of job "${backup.job}"?`;
  const isNew = (target: string): boolean => target.startsWith("database:");
  const made = Object.entries(to).filter(([, target]) => isNew(target));
  const replaced = Object.entries(to).filter(([, target]) => !isNew(target));
  const say = (verb: string, pairs: readonly (readonly [string, string])[]): readonly string[] =>
    pairs.length === 0 ? [] : [`${verb} ${what}${pairs.map(([member, target]) => `${target} with ${member}`).join(", ")}`];
  return `${[...say("Replace", replaced), ...say("Make", made)].join("; ")}?`;
}

function refuseDoubtful({ backup, doubts }: RestorePlan, { acceptDoubtful }: Options): void {
  if (doubts.length === 0 || acceptDoubtful === true) return;
  throw createDoubtError(backup.name, doubts);
}

/** D5: asked before, because the restore ends with the start and the health checks; unattended the application is started. */
async function decideStart(plan: RestorePlan, options: Options, { terminal, signal }: VerbContext): Promise<"yes" | "no"> {
  if (options.start !== undefined) return options.start ? "yes" : "no";
  if (!plan.askToStart || options.yes === true || terminal.canAsk === "no") return "yes";
  return (await askYesNo(`Start again afterwards (${plan.start.join("; ")})?`, "yes", signal)) ? "yes" : "no";
}

/** What to know once it is done. */
function describeAfter(outcome: TaskOutcome, plan: RestorePlan, start: "yes" | "no"): readonly string[] {
  const { restoreId, preRestore, members, removals } = outcome.details as {
    readonly restoreId?: string;
    readonly removals?: readonly string[];
    readonly preRestore?: string | null;
    readonly members?: readonly { readonly datastore: string; readonly method: string }[];
  };
  const { keepMs, keepLast } = plan.undo;
  const until = formatInstant(Date.now() + keepMs);
  return [
    ...(members ?? []).map(({ datastore, method }) => `  ${datastore}: ${method}`),
    ...(removals ?? []).map((removal) => `Nothing was overwritten, so there is nothing to undo. To remove it again: ${removal}`),
    ...describePassedOver(plan.passedOver),
    ...(typeof preRestore === "string"
      ? [
          `What was there before is saved as ${preRestore}.`,
          `To take it back: \`holdfast undo${restoreId === undefined ? "" : ` ${restoreId}`}\`, until ${until} or for the last ${keepLast} restores.`,
        ]
      : removals !== undefined
        ? []
        : ["Nothing was saved before it, so it cannot be undone; what could not be saved lies aside beside the data."]),
    ...(start === "no" && plan.start.length > 0 ? [`The application is stopped. To start it: ${plan.start.join("; ")}`] : []),
  ];
}

async function restoreWithoutDaemon(path: string, backup: string | undefined, options: Options, context: VerbContext): Promise<number> {
  const { restoreOffline } = await import("./offline/restore-offline.ts");
  const { job, only, table, path: paths, to, saveTo, plan, yes, acceptDoubtful, unsavable, start, keep } = options;
  const [directory, another] = to ?? [];
  if (another !== undefined) throw new HoldfastError("usage", "With --offline --to names one directory");
  return await restoreOffline(context, {
    path,
    ...(backup === undefined ? {} : { backup }),
    ...(job === undefined ? {} : { job }),
    ...(only === undefined ? {} : { only }),
    ...pickParts({ tables: table, paths }),
    ...(directory === undefined ? {} : { to: directory }),
    ...(saveTo === undefined ? {} : { saveTo }),
    ...(plan === undefined ? {} : { plan }),
    ...(yes === undefined ? {} : { yes }),
    ...(acceptDoubtful === undefined ? {} : { acceptDoubtful }),
    ...(unsavable === undefined ? {} : { unsavable }),
    ...(start === undefined ? {} : { start: start ? "yes" : "no" }),
    ...(keep === true ? { keep: "yes" } : {}),
  });
}

function parseUnsavable(text: string): "raw" {
  if (text === "raw") return text;
  throw new InvalidArgumentError('Expected "raw".');
}
