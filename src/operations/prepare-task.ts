import { join } from "node:path";
import { createId } from "../base/ids.ts";
import { pickDefined } from "../base/pick-defined.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { createConfigCopy } from "../config/config-copy.ts";
import type { JobConfig } from "../config/config.ts";
import { listOccupied } from "../config/occupied-places.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { listDueRemovals } from "./apply-retention.ts";
import type { Core } from "./core.ts";
import { assertMeaning } from "./describe-meaning.ts";
import { describeDestination, findDatastore, findJob, listQueried } from "./find-config.ts";
import { chooseHold } from "./hold/choose-hold.ts";
import { holdsDir } from "./hold/hold-record.ts";
import { pickConfigured } from "./pick-configured.ts";
import { listParts } from "./parts.ts";
import type { PayloadOf, TaskPayload } from "./payload.ts";
import type { OperationKind, OperationSetup } from "./run-task.ts";
import { chooseServices } from "./restore-services.ts";
import type { RestoreMember } from "./restore-setup.ts";
import { chooseScratchTargets } from "./scratch/request-scratch.ts";
import { readScratch } from "./scratch/scratch-record.ts";
import type { BackupSetup, DatastoreSetup, Surroundings } from "./setup.ts";
import type { BackupAddress } from "./verify.ts";

/** How many earlier backups a size is compared with. */
const historyLength = 10;

/** An operation with everything that it needs, ready for a worker. */
export type PreparedTask = {
  [Kind in OperationKind]: { readonly kind: Kind; readonly setup: OperationSetup<Kind>; readonly job: JobConfig | undefined };
}[OperationKind];

/** Resolves a task with the config of this moment: what runs keeps it whatever a reload brings. */
export function prepareTask(core: Core, payload: TaskPayload, stagingDir: string): PreparedTask {
  const job = core.config.jobs.get(payload.job);
  const surroundings = { host: core.config.settings.hostname, stagingDir, version: core.version };
  switch (payload.operation) {
    case "backup":
      return { kind: "backup", job, setup: prepareBackup(core, payload, stagingDir) };
    case "verify":
      return { kind: "verify", job, setup: { ...surroundings, address: addressBackup(core, payload) } };
    case "drill":
      return {
        kind: "drill",
        job,
        setup: { ...surroundings, address: addressBackup(core, payload), options: listOptions(core, payload) },
      };
    case "restore":
      return { kind: "restore", job, setup: prepareRestore(core, payload, stagingDir) };
    case "remove":
      return {
        kind: "remove",
        job,
        setup: {
          ...surroundings,
          destination: describeDestination(core.config, payload.destination),
          removals: listDueRemovals(core, payload),
        },
      };
    case "scratch":
      return { kind: "scratch", job, setup: { ...surroundings, ...prepareScratch(core, payload) } };
    case "unscratch":
      return { kind: "unscratch", job, setup: { ...surroundings, ...prepareScratchRemoval(core, payload) } };
    case "copy":
      return {
        kind: "copy",
        job,
        setup: { ...surroundings, address: addressBackup(core, payload), to: describeDestination(core.config, payload.to) },
      };
  }
}

/** Where a backup of the catalog is. */
export function addressBackup(
  core: Core,
  { destination, backupId }: { readonly destination: string; readonly backupId: string },
): BackupAddress {
  const backup = requireBackup(core, destination, backupId);
  return { destination: describeDestination(core.config, destination), folder: backup.folder, key: backup.manifestKey, lone: false };
}

export function requireBackup(core: Core, destination: string, backupId: string): CatalogBackup {
  const backup = core.catalog.backups.get(destination, backupId);
  if (backup === undefined)
    throw new HoldfastError("backup-not-found", `The backup ${backupId} is no longer at "${destination}"`, {
      hint: "`holdfast list` shows what is there.",
    });
  return backup;
}

function listOptions(core: Core, { destination, backupId }: { readonly destination: string; readonly backupId: string }) {
  return pickConfigured(core.config, requireBackup(core, destination, backupId).members);
}

function prepareBackup(core: Core, payload: PayloadOf<"backup">, stagingDir: string): BackupSetup {
  const job = findJob(core.config, payload.job);
  const { datastores, destinations } = core.config;
  const destination = describeDestination(core.config, payload.destination);
  const own = describeJobBackup(core, job, payload.datastores, stagingDir);
  const { freeze, thaw, maxFreezeMs } = job;
  return {
    ...own,
    datastores: own.datastores.map((each) => ({ ...each, ...chooseHold(findDatastore(core.config, each.name)) })),
    ...(maxFreezeMs === undefined ? {} : { group: { engage: freeze, release: thaw, limitMs: maxFreezeMs } }),
    holdsDir: holdsDir(core.config.settings.stateDir),
    class: "backup",
    trigger: payload.trigger,
    note: payload.note,
    destination,
    nameTemplate: job.nameTemplate,
    fixedCopies: job.fixedCopies,
    occupied:
      job.fixedCopies.length === 0
        ? []
        : listOccupied({ datastores, destinations: new Map([...destinations, [destination.name, destination]]) }),
    history: core.catalog.backups.readHistory(
      { job: job.name, destination: payload.destination, host: core.config.settings.hostname },
      historyLength,
    ),
  };
}

function describeJobBackup(core: Core, job: JobConfig, datastores: readonly string[], stagingDir: string) {
  const { settings } = core.config;
  return {
    host: settings.hostname,
    version: core.version,
    stagingDir,
    backupId: createId(core.clock.now()),
    job: job.name,
    // At a destination the root is "".
    folder: job.folder === "." ? "" : job.folder,
    layout: job.layout,
    timezone: job.nameZone === "utc" ? "UTC" : job.timezone,
    compression: job.compression,
    infoFiles: job.infoFiles,
    datastores: datastores.map((name) => describeDatastore(core, job, name)),
    config: createConfigCopy(core.config, job.name),
  };
}

function describeDatastore(core: Core, job: JobConfig, name: string): DatastoreSetup {
  const { kind, options, shrink, onMissing, compression } = findDatastore(core.config, name);
  const own =
    shrink === undefined || shrink === "off"
      ? shrink
      : { ratio: shrink.ratio, minHistory: job.shrink === "off" ? 3 : job.shrink.minHistory };
  return { name, kind, options, shrink: own ?? job.shrink, onMissing: onMissing ?? job.onMissing, ...pickDefined({ compression }) };
}

function prepareRestore(core: Core, payload: PayloadOf<"restore">, stagingDir: string): OperationSetup<"restore"> {
  const job = findJob(core.config, payload.job);
  const { settings } = core.config;
  // Beside a new database nothing is touched: what was saved of its server's own datastore would be put back by an undo.
  const replaced = payload.datastores.filter((name) => payload.databases?.[name] === undefined);
  const members = payload.datastores.map((datastore) => prepareMember(core, payload, datastore));
  const services = chooseServices(core.config.datastores, members);
  // A file can hold one datastore; what is saved before a restore may be several.
  const layout = job.layout === "file" && replaced.length > 1 ? "archive" : job.layout;
  const preRestore: BackupSetup = {
    ...describeJobBackup(core, job, replaced, join(stagingDir, "pre-restore")),
    config: createConfigCopy(core.config, job.name, replaced),
    layout,
    datastores: replaced.map((name) => ({
      ...describeDatastore(core, job, name),
      onMissing: "fail",
      ...(services.datastores.includes(name) ? { copying: "stopped" } : {}),
    })),
    class: "pre-restore",
    trigger: payload.undoes === null ? "restore" : "undo",
    note: `before ${payload.undoes === null ? "the restore" : "the undo"} ${payload.restoreId}`,
    destination: describeDestination(core.config, job.destination),
    nameTemplate: "pre_restore_{YYYYMMDD}_{HHmmss}",
    // Outside the job's sequence and shrink history.
    history: { sequence: 0, previous: null, sizes: {}, ratios: readRatios(core, job) },
  };
  const parts = listParts(payload);
  return {
    host: settings.hostname,
    version: core.version,
    stagingDir,
    restoreId: payload.restoreId,
    address: addressBackup(core, payload),
    job: job.name,
    members,
    ...chooseHooks(payload, job),
    services,
    holdsDir: holdsDir(settings.stateDir),
    queried: listQueried(core.config, job.restore.check),
    ...(payload.keep === undefined ? {} : { keep: payload.keep }),
    journalDir: restoreJournalDir(settings.stateDir),
    otherJournalDirs: [offlineJournalDir(settings.stateDir)],
    preRestore,
    unsavable: payload.unsavable,
    ...(payload.origin === undefined ? {} : { origin: payload.origin }),
    ...(parts === undefined ? {} : { parts }),
  };
}

/** How the job's datastores were compressed before: what is there now may need a tenth of its size when it is saved. */
export function readRatios({ catalog, config }: Core, { name, destination }: JobConfig): Readonly<Record<string, number>> {
  return catalog.backups.readHistory({ job: name, destination, host: config.settings.hostname }, historyLength).ratios;
}

function prepareMember(core: Core, { from, databases, meant }: PayloadOf<"restore">, datastore: string): RestoreMember {
  assertMeaning(core.config, datastore, meant?.[datastore]);
  const { kind, options } = findDatastore(core.config, datastore);
  const source = from?.[datastore];
  const name = databases?.[datastore];
  const moved = source === undefined ? {} : { from: source };
  if (name === undefined) return { datastore, options, ...moved };
  const { retarget } = findDatastoreDriver(kind);
  if (retarget === undefined)
    throw new HoldfastError("config-invalid", `"${datastore}" is of the kind ${kind} now, which has no databases`);
  return { datastore, options: retarget(options, { kind: "named", name }).options, mustBeNew: name, ...moved };
}

function prepareScratch(core: Core, payload: PayloadOf<"scratch">): Omit<OperationSetup<"scratch">, keyof Surroundings> {
  const { members } = requireBackup(core, payload.destination, payload.backupId);
  const wanted = members.filter(({ datastore }) => payload.datastores.includes(datastore));
  return {
    stateDir: core.config.settings.stateDir,
    scratchId: payload.scratchId,
    address: addressBackup(core, payload),
    members: chooseScratchTargets(core.config, payload.scratchId, wanted),
    configured: pickConfigured(core.config, wanted),
  };
}

function prepareScratchRemoval(
  { config: { datastores, settings } }: Core,
  { scratchId }: PayloadOf<"unscratch">,
): Omit<OperationSetup<"unscratch">, keyof Surroundings> {
  const members = readScratch(settings.stateDir, scratchId)?.members ?? [];
  const options = members.flatMap(({ datastore, kind, steps }) => {
    const known = datastores.get(datastore);
    return steps.length === 0 || known?.kind !== kind ? [] : [[datastore, known.options] as const];
  });
  return { stateDir: settings.stateDir, scratchId, options: Object.fromEntries(options) };
}

function chooseHooks(payload: PayloadOf<"restore">, { restore }: JobConfig): Pick<OperationSetup<"restore">, "stop" | "start" | "check"> {
  if (payload.hooks === "none") return { stop: [], start: [], check: [] };
  return { stop: restore.stop, start: payload.start === "yes" ? restore.start : [], check: restore.check };
}

export function restoreJournalDir(stateDir: string): string {
  return join(stateDir, "restores");
}

/** Journals of restores that were made beside a running daemon; the next offline restore ends what is unfinished there. */
export function offlineJournalDir(stateDir: string): string {
  return join(stateDir, "restores-offline");
}
