import { InvalidArgumentError } from "commander";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { assertRestoreFits } from "../operations/forecast-restore.ts";
import { describePassedOver } from "../operations/passed-over.ts";
import type { RestorePlan } from "../operations/plan-restore.ts";
import { askYesNo, confirmNameOrFail } from "./ask.ts";
import { chooseRestore, type ChosenBackup } from "./choose-restore.ts";
import { describePlan, findConfirmedName } from "./describe-plan.ts";
import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { TaskOutcome } from "./follow-task.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options extends ScopeOptions {
  readonly only?: readonly string[];
  readonly table?: readonly string[];
  readonly plan?: boolean;
  readonly yes?: boolean;
  /** Absent unless --start or --no-start was given. */
  readonly start?: boolean;
  readonly unsavable?: "raw";
  readonly acceptDoubtful?: boolean;
  readonly detach?: boolean;
  readonly latest?: boolean;
  readonly offline?: string;
  readonly to?: string;
  readonly saveTo?: string;
}

export const restoreVerb: Verb = {
  name: "restore",
  help: {
    exits: {
      0: "restored, verified, started and checked",
      1: "failed: the data is as it was, and the application was started again",
      4: "no such backup or datastore",
      5: "busy, cancelled, or the wait was interrupted",
      6: "the backup is damaged or incomplete: nothing was touched",
      7: "not confirmed (on a terminal the name of what is overwritten is typed), or the backup is doubtful and --accept-doubtful was not given",
    },
    json: "{task, state, summary, runId, backupId, details: {restoreId, backup, preRestore, members: [{datastore, method}]}, passedOver: [{name, reasons}]}; with --plan {backup, passedOver, expected: {ms, basis, at, backup} | null, space: [{place, neededBytes, freeBytes, fits}] | null, doubts, datastores: [{datastore, kind, status, plainBytes, entries, places, now: {summary, present, bytes, newestChangeAt, changes, contents}, contents, differences: [{name, what, now, coming}], method, neededBytes, users, notes, problem}], tables, untouched, losses, stop, start, check, askToStart, undo: {keepMs, keepLast}}; null is unknown",
    examples: [
      "holdfast restore                                    # on a terminal: pick the job, the backup, the datastores",
      "holdfast restore --offline /mnt/rescued --latest    # on a bare machine",
      "holdfast restore latest --job nightly --plan",
      "holdfast restore duck_backup_20260101_030000.tar.gz # by bare file name, or by path",
      "holdfast restore latest --job nightly --only crm --yes",
      'holdfast restore latest --job nightly --only crm --table Users --table "sales.Orders"',
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
      .option("--table <name...>", "only these tables, the rest untouched (PostgreSQL; of one datastore)")
      .option("--latest", "the newest complete, verified backup; newer ones that were passed over are told")
      .option("--plan", "show what would happen, and do nothing")
      .option("-y, --yes", "do not ask")
      .option("--start", "start the application again without asking")
      .option("--no-start", "leave the application stopped")
      .option("--unsavable <how>", "`raw`: present data that cannot be backed up is moved aside as it is", parseUnsavable)
      .option("--accept-doubtful", "take a backup that is unverified, partial, suspect or damaged as it is")
      .option("--detach", "print the task and do not wait")
      .option("--offline <path>", "from this backup or directory, with no daemon, catalog or config")
      .option("--to <directory>", "with --offline: below this directory, and not where it came from")
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
  const misplaced = (["to", "saveTo"] as const).find((name) => options[name] !== undefined);
  if (misplaced !== undefined) {
    throw new HoldfastError("usage", `--${misplaced === "to" ? "to" : "save-to"} is only for --offline`, {
      hint: "With the daemon a restore goes to where the config says.",
    });
  }
  const { terminal, signal } = context;
  const client = await context.connect();
  const chosen: ChosenBackup =
    given === undefined ? await chooseRestore(client, options, context) : { text: given, scope: pickScope(options) };
  const only = chosen.only ?? options.only;
  const query = {
    ...chosen.scope,
    ...(only === undefined ? {} : { datastores: only.join(",") }),
    ...(options.table === undefined ? {} : { tables: JSON.stringify(options.table) }),
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
  const what = plan.tables === null ? "" : `${plan.tables.join(", ")} in `;
  const message = `Replace ${what}${plan.datastores.map(({ datastore }) => datastore).join(", ")} of job "${plan.backup.job}"?`;
  await confirmNameOrFail(terminal, { message, name: findConfirmedName(plan), yes: options.yes === true }, signal);
  const body = {
    ...chosen.scope,
    destination: plan.backup.destination,
    start: await decideStart(plan, options, context),
    ...(only === undefined ? {} : { datastores: only }),
    ...(options.table === undefined ? {} : { tables: options.table }),
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

function refuseDoubtful({ backup, doubts }: RestorePlan, { acceptDoubtful }: Options): void {
  if (doubts.length === 0 || acceptDoubtful === true) return;
  throw new HoldfastError("backup-unverified", `The backup ${backup.name} is ${doubts.join(" and ")}`, {
    hint: "Restore `latest`, or say --accept-doubtful to take it as it is.",
  });
}

/** D5: asked before, because the restore ends with the start and the health checks; unattended the application is started. */
async function decideStart(plan: RestorePlan, options: Options, { terminal, signal }: VerbContext): Promise<"yes" | "no"> {
  if (options.start !== undefined) return options.start ? "yes" : "no";
  if (!plan.askToStart || options.yes === true || terminal.canAsk === "no") return "yes";
  return (await askYesNo(`Start again afterwards (${plan.start.join("; ")})?`, "yes", signal)) ? "yes" : "no";
}

/** What to know once it is done. */
function describeAfter(outcome: TaskOutcome, plan: RestorePlan, start: "yes" | "no"): readonly string[] {
  const { restoreId, preRestore, members } = outcome.details as {
    readonly restoreId?: string;
    readonly preRestore?: string | null;
    readonly members?: readonly { readonly datastore: string; readonly method: string }[];
  };
  const { keepMs, keepLast } = plan.undo;
  const until = formatInstant(Date.now() + keepMs);
  return [
    ...(members ?? []).map(({ datastore, method }) => `  ${datastore}: ${method}`),
    ...describePassedOver(plan.passedOver),
    ...(typeof preRestore === "string"
      ? [
          `What was there before is saved as ${preRestore}.`,
          `To take it back: \`holdfast undo${restoreId === undefined ? "" : ` ${restoreId}`}\`, until ${until} or for the last ${keepLast} restores.`,
        ]
      : ["There was nothing before, so nothing was saved."]),
    ...(start === "no" && plan.start.length > 0 ? [`The application is stopped. To start it: ${plan.start.join("; ")}`] : []),
  ];
}

async function restoreWithoutDaemon(path: string, backup: string | undefined, options: Options, context: VerbContext): Promise<number> {
  const { restoreOffline } = await import("./offline/restore-offline.ts");
  const { job, only, table, to, saveTo, plan, yes, acceptDoubtful, unsavable, start } = options;
  return await restoreOffline(context, {
    path,
    ...(backup === undefined ? {} : { backup }),
    ...(job === undefined ? {} : { job }),
    ...(only === undefined ? {} : { only }),
    ...(table === undefined ? {} : { tables: table }),
    ...(to === undefined ? {} : { to }),
    ...(saveTo === undefined ? {} : { saveTo }),
    ...(plan === undefined ? {} : { plan }),
    ...(yes === undefined ? {} : { yes }),
    ...(acceptDoubtful === undefined ? {} : { acceptDoubtful }),
    ...(unsavable === undefined ? {} : { unsavable }),
    ...(start === undefined ? {} : { start: start ? "yes" : "no" }),
  });
}

function parseUnsavable(text: string): "raw" {
  if (text === "raw") return text;
  throw new InvalidArgumentError('Expected "raw".');
}
