import { join } from "node:path";
import { createId } from "../../base/ids.ts";
import { pickDefined } from "../../base/pick-defined.ts";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { createConfigCopy, createPlainCopy } from "../../config/config-copy.ts";
import type { Config, Settings } from "../../config/config.ts";
import { acquireLocks } from "../../queue/locks.ts";
import { findBackupKeys } from "../extract/find-backup.ts";
import { listRestoreHooks, type FindHooks } from "../fill-hooks.ts";
import { identifyServices, listQueried } from "../find-config.ts";
import { holdsDir } from "../hold/hold-record.ts";
import { restoreJournalDir } from "../prepare-task.ts";
import { listParts } from "../parts.ts";
import { runRestore, type RestoreResult } from "../restore.ts";
import type { BackupSetup, TaskPorts } from "../setup.ts";
import { openDestination } from "../verify.ts";
import { describeForSaving } from "./choose-targets.ts";
import { openRestoreWork } from "./open-restore-work.ts";
import type { OfflinePlan } from "./plan-restore.ts";

export interface OfflineRestoreRequest {
  readonly plan: OfflinePlan;
  readonly config: Config | undefined;
  readonly settings: Settings;
  readonly version: string;
  readonly stagingDir: string;
  /** Gets the present data first; made, and marked, when it is not there. */
  readonly saveTo: string;
  readonly unsavable: "refuse" | "raw";
  readonly start: "yes" | "no";
  readonly keep: "yes" | "no";
}

export interface OfflineRestoreResult extends RestoreResult {
  /** The file or directory of what was saved first; undefined when nothing was there. */
  readonly savedAt: string | undefined;
}

/** Carries out a plan in this process, under the locks that the daemon's workers and outside programs take too. */
export async function runOfflineRestore(
  request: OfflineRestoreRequest,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<OfflineRestoreResult> {
  const { plan, settings } = request;
  const parts = listParts(plan);
  const findOptions = (datastore: string): unknown =>
    request.config?.datastores.get(datastore)?.options ??
    plan.members.find(({ target }) => target.member.datastore === datastore)?.target.options;
  const findHooks: FindHooks = (job) => (request.config === undefined ? [] : listRestoreHooks(request.config, job));
  await using work = await openRestoreWork(settings, { findOptions, findHooks }, ports, signal);
  for (const { id, message } of work.finished) ports.log("warn", `The restore ${id} ${message}`);
  const keys: ConcurrencyKey[] = [...(await findBackupKeys(request.config, plan.chosen))];
  for (const { target } of plan.members) keys.push(await target.configured.identify(signal));
  const names = plan.members.map(({ target }) => target.member.datastore);
  if (request.config !== undefined) keys.push(...identifyServices(request.config, names));
  using _locks = await acquireLocks(
    { directory: join(settings.runtimeDir, "locks"), keys, holder: `offline restore of ${plan.manifest.name}` },
    signal,
  );
  const preRestore = describePreRestore(request);
  await initializeSaveTo(preRestore, signal);
  const result = await runRestore(
    {
      host: settings.hostname,
      version: request.version,
      stagingDir: request.stagingDir,
      restoreId: createId(ports.now()),
      address: plan.chosen.address,
      job: plan.manifest.job,
      members: plan.members.map(({ target }) => ({ datastore: target.member.datastore, options: target.options })),
      stop: plan.stop,
      start: request.start === "yes" ? plan.start : [],
      services: plan.services,
      holdsDir: holdsDir(settings.stateDir),
      check: plan.check,
      queried: request.config === undefined ? [] : listQueried(request.config, plan.check),
      keep: request.keep,
      journalDir: work.journalDir,
      otherJournalDirs: [restoreJournalDir(settings.stateDir)],
      preRestore,
      unsavable: request.unsavable,
      ...(parts === undefined ? {} : { parts }),
    },
    ports,
    signal,
  );
  const savedAt =
    result.preRestore === undefined ? undefined : join(request.saveTo, result.preRestore.folder, result.preRestore.manifest.name);
  return { ...result, savedAt };
}

async function initializeSaveTo({ destination }: BackupSetup, signal: AbortSignal): Promise<void> {
  await using opened = await openDestination(destination);
  await opened.initialize("adopt", signal);
}

/** How the present data is saved: as a backup of its own, that restores like any other. */
function describePreRestore({ plan, config, settings, version, stagingDir, saveTo }: OfflineRestoreRequest): BackupSetup {
  const { manifest, members } = plan;
  const job = config?.jobs.get(manifest.job);
  const copy = config === undefined ? undefined : createConfigCopy(config, manifest.job);
  const datastores: readonly (readonly [string, unknown])[] = members.map(({ target: { member, options } }) => [
    member.datastore,
    { name: member.datastore, kind: member.kind, options: createPlainCopy(options), optional: true },
  ]);
  return {
    host: settings.hostname,
    version,
    stagingDir: join(stagingDir, "pre-restore"),
    backupId: createId(Date.now()),
    job: manifest.job,
    class: "pre-restore",
    trigger: "restore",
    note: `before the offline restore of ${manifest.name}`,
    folder: "",
    layout: "directory",
    nameTemplate: "pre_restore_{YYYYMMDD}_{HHmmss}",
    timezone: job?.timezone ?? settings.timezone,
    compression: job?.compression ?? { method: "gzip", level: 6 },
    infoFiles: [],
    datastores: members.map(({ target }) => ({
      name: target.member.datastore,
      kind: target.member.kind,
      options: describeForSaving(target),
      shrink: "off",
      ...(plan.services.datastores.includes(target.member.datastore) ? { copying: "stopped" } : {}),
      ...pickDefined({ compression: config?.datastores.get(target.member.datastore)?.compression }),
    })),
    destination: { name: "pre-restore", kind: "local", options: { path: saveTo } },
    config: { ...copy, datastores: Object.fromEntries(datastores) },
    history: { sequence: 0, previous: null, sizes: {} },
  };
}
