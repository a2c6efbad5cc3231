import { join, resolve } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Settings } from "../../config/config.ts";
import { ControlClient } from "../../control/client.ts";
import { describeRemedies, isWell } from "../../operations/complete-restore.ts";
import { describeHook } from "../../operations/describe-hook.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { chooseBackup, openView, type OfflineBackup, type OfflineView } from "../../operations/offline/open-view.ts";
import { pickParts } from "../../operations/parts.ts";
import { planOfflineRestore, type OfflinePlan } from "../../operations/offline/plan-restore.ts";
import { assertApart, assertEmpty } from "../../operations/assert-target-directory.ts";
import { pickConfigured } from "../../operations/pick-configured.ts";
import { restoreInto } from "../../operations/restore-into.ts";
import { runOfflineRestore } from "../../operations/offline/run-offline-restore.ts";
import { describePassedOver, listPassedOver } from "../../operations/passed-over.ts";
import { chooseBackup as pickFromList } from "../choose-restore.ts";
import { describeTook } from "../describe-plan.ts";
import { assertRestoreFits } from "../../operations/forecast-restore.ts";
import { confirmNameOrFail } from "../ask.ts";
import type { VerbContext } from "../verb.ts";
import { loadOfflineConfig, type OfflineConfig } from "./offline-config.ts";
import type { OfflineRestoreOptions } from "./options.ts";
import { describePlan, describeSides, listPlanLosses } from "./print-plan.ts";
import { createRunPorts } from "./run-ports.ts";

/**
 * Restores from a path alone. Without `to` it goes the way of every restore: verify, save the present data, swap, check, and back on any
 * failure; a crash is mended by the next offline restore or the next start of the daemon.
 */
export async function restoreOffline(context: VerbContext, options: OfflineRestoreOptions): Promise<number> {
  const { terminal, signal } = context;
  const known = await loadOfflineConfig(context);
  if (known.unused !== undefined) {
    terminal.tell(`warning: the config is not used, nor are its stop, start and check commands: ${known.unused}`);
  }
  if (options.to !== undefined && (options.tables ?? options.paths) !== undefined) {
    throw new HoldfastError("usage", "--to restores whole datastores, not parts of one", {
      hint: "Leave --table and --path out, or --to; `holdfast extract` gives single files.",
    });
  }
  await using scratch = await openScratch(known.settings);
  const view = await openView({ ...options, host: known.settings.hostname, scratchDir: scratch.path }, signal);
  const chosen = await pickBackup(view, options, context);
  const request = {
    config: known.config,
    only: options.only,
    parts: pickParts(options),
    stagingDir: scratch.path,
    saveTo: findSaveTo(known.settings, options),
    passedOver:
      options.backup === "latest"
        ? listPassedOver(
            chosen.backup,
            view.found.map(({ backup }) => backup),
            view.unreadable,
          )
        : [],
  };
  const plan = await planOfflineRestore(chosen, request, signal);
  if (options.plan === true) return tellPlan(plan, known.settings, options, context);
  if (plan.doubts.length > 0 && options.acceptDoubtful !== true && plan.manifest.class === "backup") {
    throw new HoldfastError("backup-unverified", `The backup ${plan.manifest.name} is ${plan.doubts.join(" and ")}`, {
      hint: "Use another one, or say --accept-doubtful to take it as it is.",
    });
  }
  if (options.to !== undefined) return await restoreElsewhere(plan, known, resolve(options.to), scratch.path, context);
  return await restoreInPlace(plan, known, scratch.path, options, context);
}

/** On a terminal one of several is picked from a list, as online. */
async function pickBackup(view: OfflineView, options: OfflineRestoreOptions, { terminal, signal }: VerbContext): Promise<OfflineBackup> {
  const isAsked = options.backup === undefined && options.yes !== true && options.plan !== true && terminal.canAsk === "yes";
  if (!isAsked || view.place.kind === "backup" || view.found.length < 2) return await chooseBackup(view, options.backup, signal);
  const backups = view.found.map(({ backup }) => backup);
  const picked = await pickFromList(
    backups.some((backup) => backup.class === "backup") ? backups.filter((backup) => backup.class === "backup") : backups,
    view.host,
    signal,
  );
  const chosen = view.found.find(({ backup }) => backup === picked);
  if (chosen === undefined) throw new HoldfastError("internal", "Bug: a backup was picked that is not in the list");
  return chosen;
}

function tellPlan(plan: OfflinePlan, settings: Settings, options: OfflineRestoreOptions, { terminal }: VerbContext): number {
  if (terminal.json === "json") terminal.printJson(describePlanAsJson(plan));
  else for (const line of describePlan(plan, findSaveTo(settings, options), Date.now(), terminal)) terminal.print(line);
  return 0;
}

/** With the fields that the plan of an online restore has, as far as they mean something here. */
function describePlanAsJson({
  chosen,
  members,
  leftOut,
  passedOver,
  space,
  tables,
  paths,
  doubts,
  stop,
  start,
  services,
}: OfflinePlan): unknown {
  return {
    backup: chosen.backup,
    passedOver,
    space,
    doubts,
    datastores: members.map((planned) => {
      const { target, facts, problem, notes } = planned;
      const { member, configured, source } = target;
      return {
        datastore: member.datastore,
        kind: member.kind,
        status: member.status,
        places: configured.sourcePaths,
        source,
        ...describeSides(planned),
        method: facts?.method ?? null,
        neededBytes: facts?.neededBytes ?? null,
        users: facts?.users ?? [],
        notes: [...(facts?.notes ?? []), ...notes],
        problem: problem ?? null,
      };
    }),
    tables: tables ?? null,
    paths: paths ?? null,
    leftOut,
    losses: listPlanLosses(members),
    stop: [...stop, ...services.stop].map(({ command }) => command.join(" ")),
    start: [...services.start, ...start].map(({ command }) => command.join(" ")),
  };
}

function findSaveTo({ stateDir }: Settings, { saveTo }: OfflineRestoreOptions): string {
  return resolve(saveTo ?? join(stateDir, "pre-restore"));
}

async function restoreElsewhere(
  plan: OfflinePlan,
  { config, settings }: OfflineConfig,
  directory: string,
  stagingDir: string,
  context: VerbContext,
): Promise<number> {
  const { terminal, signal } = context;
  await assertEmpty(directory);
  await assertApart(directory, config, { settings, backupDir: plan.chosen.path });
  const datastores = plan.members.map(({ target }) => target.member.datastore);
  const configured = config === undefined ? {} : pickConfigured(config, plan.manifest.members);
  const request = { address: plan.chosen.address, datastores, directory, stagingDir, configured };
  const { paths, notes } = await restoreInto(request, createRunPorts(terminal), signal);
  for (const note of notes) terminal.tell(`note: ${note}`);
  if (terminal.json === "json") terminal.printJson({ backup: plan.manifest.name, restored: paths, passedOver: plan.passedOver });
  else for (const line of describePassedOver(plan.passedOver)) terminal.print(line);
  if (terminal.json === "text") for (const path of paths) terminal.print(`restored and compared: ${path}`);
  return 0;
}

async function restoreInPlace(
  plan: OfflinePlan,
  { config, settings }: OfflineConfig,
  stagingDir: string,
  options: OfflineRestoreOptions,
  context: VerbContext,
): Promise<number> {
  const { terminal, signal } = context;
  const saveTo = findSaveTo(settings, options);
  for (const line of describePlan(plan, saveTo, Date.now(), terminal)) terminal.tell(line);
  if (plan.manifest.host !== settings.hostname) {
    terminal.tell(`warning: it was made on ${plan.manifest.host}, and this is ${settings.hostname}`);
  }
  if (await isDaemonThere(settings.socketPath, signal)) {
    terminal.tell(
      "note: the daemon answers; `holdfast restore` without --offline records the restore and can be undone with `holdfast undo`",
    );
  }
  if (options.yes !== true && options.unsavable === undefined) assertRestoreFits(plan.space ?? []);
  const [only] = plan.members;
  const name = only !== undefined && plan.members.length === 1 ? only.target.member.datastore : plan.manifest.job;
  await confirmNameOrFail(terminal, { message: "Restore now?", name, yes: options.yes === true }, signal);
  const result = await runOfflineRestore(
    {
      plan,
      config,
      settings,
      version: context.program.version,
      stagingDir,
      saveTo,
      unsavable: options.unsavable ?? "refuse",
      start: options.start ?? "yes",
      keep: options.keep ?? "no",
    },
    createRunPorts(terminal),
    signal,
  );
  const undo =
    result.savedAt === undefined ? null : describeUndo(result.savedAt, config?.path, result.preRestore?.manifest.status ?? "ok", plan);
  if (terminal.json === "json") {
    const { restoreId, backup, members, tookMs, unstarted = null, unhealthy = null, unproven } = result;
    terminal.printJson({
      restoreId,
      backup,
      members,
      tookMs,
      savedAt: result.savedAt ?? null,
      undo,
      unstarted,
      unhealthy,
      unproven,
      passedOver: plan.passedOver,
    });
    return isWell(result) ? 0 : 3;
  }
  terminal.print(`restored: ${result.backup}, in ${describeTook(result.tookMs)}`);
  for (const line of describePassedOver(plan.passedOver)) terminal.print(`  ${line}`);
  for (const { datastore, method } of result.members) terminal.print(`  ${datastore}: ${method}`);
  if (undo === null)
    terminal.print("Nothing was saved before it, so it cannot be undone; what could not be saved lies aside beside the data.");
  else {
    terminal.print(`The data before it is kept in ${result.savedAt ?? ""}`);
    terminal.print(`To undo: ${undo}`);
  }
  for (const line of describeRemedies(result, { start: [...plan.services.start, ...plan.start].map(describeHook), saved: false }))
    terminal.print(`warning: ${line}`);
  return isWell(result) ? 0 : 3;
}

/** Of a part only that part is taken back: everything else has gone on. */
function describeUndo(savedAt: string, configPath: string | undefined, status: "ok" | "partial", { tables, paths }: OfflinePlan): string {
  const quote = (text: string): string => (/^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`);
  const config = configPath === undefined || configPath === "/etc/holdfast/holdfast.yaml" ? "" : ` --config ${quote(configPath)}`;
  const parts = [...(tables ?? []).map((name) => ` --table ${quote(name)}`), ...(paths ?? []).map((name) => ` --path ${quote(name)}`)].join(
    "",
  );
  return `holdfast${config} restore --offline ${quote(savedAt)}${parts} --yes${status === "partial" ? " --accept-doubtful" : ""}`;
}

async function isDaemonThere(socketPath: string, signal: AbortSignal): Promise<boolean> {
  try {
    await new ControlClient(socketPath).send({ method: "GET", path: "/status" }, AbortSignal.any([signal, AbortSignal.timeout(2_000)]));
    return true;
  } catch {
    signal.throwIfAborted();
    return false; // a daemon that does not answer does not record restores either
  }
}
