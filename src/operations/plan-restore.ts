import type { ManifestMember } from "../archive/manifest.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import type { Note } from "../base/note.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Check, Hook } from "../config/config.ts";
import type { TargetFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { redactText } from "../telemetry/redact.ts";
import { openWorker } from "../worker/open-worker.ts";
import { assertTables, chooseMembers } from "./choose-members.ts";
import {
  chooseRestoreJob,
  chooseRestoreTargets,
  listMoved,
  parseRestoreTo,
  type ChosenTarget,
  type RestoreTo,
} from "./choose-restore-targets.ts";
import type { Core } from "./core.ts";
import { describeBeyond, readRestored } from "./describe-undo.ts";
import type { InspectedTarget, InspectionSetup } from "./inspect-targets.ts";
import { listDoubts } from "./list-doubts.ts";
import { identifyTargets, listOriginDoubts } from "./list-origin-doubts.ts";
import { readManifest } from "./show-backup.ts";
import { openStagingDirectory } from "./staging.ts";

/** Longer than looking takes; a target on a dead mount must not keep the asker. */
const inspectionMs = 30_000;

export interface PlannedDatastore {
  readonly datastore: string;
  readonly kind: string;
  /** Where it goes when that is not where it came from: a datastore of the config, or `database:NAME`. */
  readonly to: string | null;
  /** In the backup. */
  readonly status: ManifestMember["status"];
  readonly plainBytes: number;
  readonly entries: number;
  /** Where it lives by the config. */
  readonly places: readonly string[];
  /** What is there now; null when that cannot be told, see `problem`. */
  readonly now: { readonly summary: string; readonly present: boolean; readonly bytes: number } | null;
  readonly method: string | null;
  readonly neededBytes: number | null;
  /** Process ids that have it open. */
  readonly users: readonly number[];
  readonly notes: readonly Note[];
  readonly problem: string | null;
}

/** What a restore would do. Nothing has been touched, and nothing is promised: it is looked at again when it is done. */
export interface RestorePlan {
  readonly backup: {
    readonly id: string;
    readonly name: string;
    readonly job: string;
    readonly class: CatalogBackup["class"];
    readonly destination: string;
    readonly createdAt: string;
    readonly note: string | null;
    readonly storedBytes: number;
    readonly verifiedAt: string | null;
    readonly drilledAt: string | null;
    /** How long the last restore into a scratch place took. */
    readonly drillMs: number | null;
  };
  /** Why the backup is no plainly good one; then the restore needs an explicit word. */
  readonly doubts: readonly string[];
  readonly datastores: readonly PlannedDatastore[];
  /** For the request; null when all goes back to where it came from. */
  readonly to: RestoreTo | null;
  /** Only these of the one datastore; null for all of it. */
  readonly tables: readonly string[] | null;
  /** Of the job's datastores at that time, but not asked for, or not in the backup. */
  readonly untouched: readonly string[];
  /** What will not come back as it was. */
  readonly losses: readonly string[];
  readonly stop: readonly string[];
  readonly start: readonly string[];
  readonly check: readonly string[];
  /** Why nobody is stopped and started; null where the job says it. */
  readonly hooksNote: string | null;
  readonly askToStart: boolean;
  /** How long what is there now is kept for the undo. */
  readonly undo: { readonly keepMs: number; readonly keepLast: number };
}

export interface RestorePlanRequest {
  readonly backup: CatalogBackup;
  readonly datastores?: readonly string[];
  readonly tables?: readonly string[];
  /** As parseRestoreTo reads it. */
  readonly to?: readonly string[];
}

/** @throws unknown-name when a datastore has left the config or is not in the backup; manifest-invalid, backup-damaged */
export async function planRestore(core: Core, request: RestorePlanRequest, signal: AbortSignal): Promise<RestorePlan> {
  const { backup } = request;
  const manifest = await readManifest(core, backup, signal);
  const asked = chooseMembers(manifest, request.datastores);
  const to = request.to === undefined ? undefined : parseRestoreTo(request.to, asked);
  const members = to === undefined ? asked : chooseMembers(manifest, listMoved(to, request.datastores));
  const { tables } = request;
  assertTables(members, tables);
  const targets = chooseRestoreTargets(core.config, members, to);
  const { job, hooks, why } = chooseRestoreJob(core.config, core.catalog, backup, targets);
  const inspected = await inspectInWorker(core, targets, tables, signal);
  const restored = tables === undefined ? await readRestored(core, backup, signal) : [];
  const { undoKeepMs, undoKeepLast } = job.restore;
  const { stop, start, check, askToStart } = hooks === "job" ? job.restore : { stop: [], start: [], check: [], askToStart: false };
  return {
    backup: describePlanned(backup),
    doubts: [
      ...listDoubts(backup),
      ...listOriginDoubts(core.config.settings.hostname, backup, manifest, await identifyTargets(targets, signal)),
    ],
    datastores: targets.map((target) =>
      describeMember(
        target,
        inspected.find(({ datastore }) => datastore === target.member.datastore),
        describeBeyond(
          target.member,
          restored.find(({ datastore }) => datastore === target.member.datastore),
        ),
      ),
    ),
    to: to ?? null,
    tables: tables ?? null,
    untouched: manifest.members.filter((member) => !members.includes(member)).map(({ datastore }) => datastore),
    losses: [...(request.datastores === undefined ? manifest.members.filter(({ status }) => status === "failed") : []), ...members].flatMap(
      listLosses,
    ),
    stop: stop.map(describeHook),
    start: start.map(describeHook),
    check: check.map(describeCheck),
    hooksNote: why,
    askToStart: askToStart && start.length > 0,
    undo: { keepMs: undoKeepMs, keepLast: undoKeepLast },
  };
}

/** Drivers may open databases, which the daemon's own process must not. Looking needs no locks and no place in the queue. */
async function inspectInWorker(
  core: Core,
  targets: readonly ChosenTarget<ManifestMember>[],
  tables: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<readonly InspectedTarget[]> {
  const { settings } = core.config;
  const id = createId(core.clock.now());
  await using staging = await openStagingDirectory(settings.stagingDir, `plan-${id}`);
  const setup: InspectionSetup = {
    host: settings.hostname,
    version: core.version,
    stagingDir: staging.path,
    targets: targets.map(({ member: { datastore, kind, status }, options }) => ({
      datastore,
      kind,
      options,
      absent: status === "absent",
      ...(tables === undefined ? {} : { parts: tables }),
    })),
  };
  const limit = new AbortController();
  const timer = setTimeout(
    () => limit.abort(new HoldfastError("timeout", `Looking at what is there took longer than ${inspectionMs} ms`)),
    inspectionMs,
  );
  try {
    const worker = openWorker(
      { entry: core.entry, kind: "plan", input: setup, marker: `plan-${id}`, lockFds: [] },
      { onProgress: () => undefined, onLog: (level, message, details) => core.log[level](message, { ...details }) },
      AbortSignal.any([signal, limit.signal]),
    );
    return (await worker.finished) as readonly InspectedTarget[];
  } finally {
    clearTimeout(timer);
  }
}

function describePlanned(backup: CatalogBackup): RestorePlan["backup"] {
  const { id, name, job, destination, note, storedBytes, drillMs } = backup;
  const instant = (ms: number | null): string | null => (ms === null ? null : formatInstant(ms));
  return {
    id,
    name,
    job,
    class: backup.class,
    destination,
    createdAt: formatInstant(backup.createdAtMs),
    note,
    storedBytes,
    verifiedAt: instant(backup.verifiedAtMs),
    drilledAt: instant(backup.drilledAtMs),
    drillMs,
  };
}

function describeMember(
  { member, datastore: into, database, options }: ChosenTarget<ManifestMember>,
  target: InspectedTarget | undefined,
  beyond: readonly Note[],
): PlannedDatastore {
  const { datastore, kind, status, entries } = member;
  const facts = target?.facts ?? null;
  return {
    datastore,
    kind,
    to: database === undefined ? (into === datastore ? null : into) : `database:${database}`,
    status,
    plainBytes: entries.reduce((sum, { plain }) => sum + plain.bytes, 0),
    entries: entries.length,
    places: findDatastoreDriver(kind).configure(options).sourcePaths,
    now: facts === null ? null : { summary: facts.summary, present: facts.present, bytes: facts.bytes },
    method: facts?.method ?? null,
    neededBytes: facts?.neededBytes ?? null,
    users: facts?.users ?? [],
    notes: [...(facts?.notes ?? []), ...beyond],
    problem: target?.problem?.message ?? describePresent(database, facts),
  };
}

function describePresent(database: string | undefined, facts: TargetFacts | null): string | null {
  if (database === undefined || facts?.present !== true) return null;
  return `The database ${database} is there already, and database:NAME overwrites nothing`;
}

function listLosses(member: ManifestMember): readonly string[] {
  const { datastore, status, notes } = member;
  return [
    ...(status === "absent" ? [`${datastore} was not there at that time: what is there now is put aside`] : []),
    ...(status === "failed" ? [`${datastore} is not in this backup and stays as it is now`] : []),
    ...notes.filter(({ level }) => level !== "info").map(({ message }) => `${datastore}: ${message}`),
  ];
}

const describeHook = ({ command, runAs }: Hook): string => redactText(`${command.join(" ")}${runAs === undefined ? "" : ` (as ${runAs})`}`);

const describeCheck = (check: Check): string => (check.kind === "http" ? redactText(`GET ${check.http}`) : describeHook(check));
