import type { ManifestMember } from "../archive/manifest.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { createId } from "../base/ids.ts";
import type { Note } from "../base/note.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { compareCounts, describeCounts } from "../base/describe-contents.ts";
import type { TargetFacts } from "../datastores/contract.ts";
import { chooseCompression } from "./choose-compression.ts";
import { findExpectedTime, type ExpectedTime } from "./expected-time.ts";
import { findUnreadable } from "./find-unreadable.ts";
import type { SpaceNeed } from "./forecast-restore.ts";
import { listPassedOver, type PassedOver } from "./passed-over.ts";
import type { JobConfig } from "../config/config.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { openWorker } from "../worker/open-worker.ts";
import { chooseMembers } from "./choose-members.ts";
import {
  chooseRestoreJob,
  chooseRestoreTargets,
  listMoved,
  parseRestoreTo,
  type ChosenTarget,
  type RestoreTo,
} from "./choose-restore-targets.ts";
import type { Core } from "./core.ts";
import { describeCheck, describeHook } from "./describe-hook.ts";
import { describeNow, listLosses, listVanishing } from "./describe-target.ts";
import { describeUncounted } from "./describe-uncounted.ts";
import { describeBeyond, readRestored } from "./describe-undo.ts";
import { describeDestination } from "./find-config.ts";
import type { InspectedTarget, Inspection, InspectionSetup } from "./inspect-targets.ts";
import { listDoubts } from "./list-doubts.ts";
import { identifyTargets, isAnythingThere, listOriginDoubts } from "./list-origin-doubts.ts";
import { assertParts } from "./assert-parts.ts";
import { describeRestoring, listParts, type PartsRequest } from "./parts.ts";
import { addressBackup, readRatios } from "./prepare-task.ts";
import type { PlannedDatastore } from "./planned-datastore.ts";
import { chooseServices } from "./restore-services.ts";
import { readManifest } from "./show-backup.ts";
import { openStagingDirectory } from "./staging.ts";
import { describeDuration } from "../base/parse-duration.ts";

/** Longer than looking takes; a target on a dead mount must not keep the asker. */
const inspectionMs = 30_000;

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
  /** What is newer than the backup that `latest` means, and why it is not meant. */
  readonly passedOver: readonly PassedOver[];
  readonly expected: ExpectedTime | null;
  /** What is needed of each disk; null where the places cannot be looked at. */
  readonly space: readonly SpaceNeed[] | null;
  /** Why the backup is no plainly good one; then the restore needs an explicit word. */
  readonly doubts: readonly string[];
  readonly datastores: readonly PlannedDatastore[];
  /** For the request; null when all goes back to where it came from. */
  readonly to: RestoreTo | null;
  /** Only these of the one datastore; null for all of it. */
  readonly tables: readonly string[] | null;
  readonly paths: readonly string[] | null;
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

export interface RestorePlanRequest extends PartsRequest {
  readonly backup: CatalogBackup;
  readonly datastores?: readonly string[];
  /** As parseRestoreTo reads it. */
  readonly to?: readonly string[];
  /** The backup was asked for as `latest`: what that passed over is told. */
  readonly chosenAs?: "latest";
}

/** @throws unknown-name when a datastore has left the config or is not in the backup; manifest-invalid, backup-damaged */
export async function planRestore(core: Core, request: RestorePlanRequest, signal: AbortSignal): Promise<RestorePlan> {
  const { backup } = request;
  const manifest = await readManifest(core, backup, signal);
  const asked = chooseMembers(manifest, request.datastores);
  const to = request.to === undefined ? undefined : parseRestoreTo(request.to, asked);
  const members = to === undefined ? asked : chooseMembers(manifest, listMoved(to, request.datastores));
  assertParts(members, request);
  const parts = listParts(request);
  const targets = chooseRestoreTargets(core.config, members, to);
  const { job, hooks, why } = chooseRestoreJob(core.config, core.catalog, backup, targets);
  const { targets: inspected, space } = await inspectInWorker(
    core,
    { backup, job, targets },
    describeRestoring(parts, manifest.class),
    signal,
  );
  const restored = parts === undefined ? await readRestored(core, backup, signal) : [];
  const services = chooseServices(core.config.datastores, targets);
  const { undoKeepMs, undoKeepLast } = job.restore;
  const { stop, start, check, askToStart } = hooks === "job" ? job.restore : { stop: [], start: [], check: [], askToStart: false };
  const datastores = targets.map((target) =>
    describeMember(
      target,
      inspected.find(({ datastore }) => datastore === target.member.datastore),
      [
        ...describeUncounted(target.member, request.tables),
        ...describeBeyond(
          target.member,
          restored.find(({ datastore }) => datastore === target.member.datastore),
        ),
      ],
    ),
  );
  const leftOut = request.datastores === undefined ? manifest.members.filter(({ status }) => status === "failed") : [];
  return {
    backup: describePlanned(backup),
    passedOver: request.chosenAs === "latest" ? await findPassedOver(core, backup, signal) : [],
    expected: parts === undefined ? findExpectedTime(core, { backup, datastores: members.map(({ datastore }) => datastore) }) : null,
    space,
    doubts: [
      ...listDoubts(backup),
      ...(inspected.some(({ facts }) => isAnythingThere(facts))
        ? listOriginDoubts(core.config.settings.hostname, backup, manifest, await identifyTargets(targets, signal))
        : []),
    ],
    datastores,
    to: to ?? null,
    tables: request.tables ?? null,
    paths: request.paths ?? null,
    untouched: manifest.members.filter((member) => !members.includes(member)).map(({ datastore }) => datastore),
    losses: [...[...leftOut, ...members].flatMap(listLosses), ...datastores.flatMap((each) => listVanishing(each, each.differences))],
    stop: [...stop, ...services.stop].map(describeHook),
    start: [...services.start, ...start].map(describeHook),
    check: check.map(describeCheck),
    hooksNote: why,
    askToStart: askToStart && start.length > 0,
    undo: { keepMs: undoKeepMs, keepLast: undoKeepLast },
  };
}

async function findPassedOver(core: Core, backup: CatalogBackup, signal: AbortSignal): Promise<readonly PassedOver[]> {
  const candidates = core.catalog.backups.find({ job: backup.job, class: "backup" });
  return listPassedOver(backup, candidates, await findUnreadable(core, backup.destination, signal));
}

/** Drivers may open databases, which the daemon's own process must not. Looking needs no locks and no place in the queue. */
async function inspectInWorker(
  core: Core,
  {
    backup,
    job,
    targets,
  }: { readonly backup: CatalogBackup; readonly job: JobConfig; readonly targets: readonly ChosenTarget<ManifestMember>[] },
  restoring: InspectionSetup["targets"][number]["restoring"],
  signal: AbortSignal,
): Promise<Inspection> {
  const { settings } = core.config;
  const id = createId(core.clock.now());
  const ratios = readRatios(core, job);
  await using staging = await openStagingDirectory(settings.stagingDir, `plan-${id}`);
  const layout = job.layout === "file" && targets.length > 1 ? "archive" : job.layout;
  const compressing = { compression: job.compression, layout, datastores: [...core.config.datastores.values()] };
  const setup: InspectionSetup = {
    host: settings.hostname,
    version: core.version,
    stagingDir: staging.path,
    address: addressBackup(core, { destination: backup.destination, backupId: backup.id }),
    saveTo: describeDestination(core.config, job.destination),
    layout,
    targets: targets.map(({ member: { datastore, kind, status, entries }, datastore: into, options }) => ({
      datastore,
      kind,
      options,
      absent: status === "absent",
      restoring,
      plainBytes: entries.reduce((sum, { plain }) => sum + plain.bytes, 0),
      ratio: chooseCompression(compressing, into).method === "none" ? undefined : ratios[into],
    })),
  };
  const limit = new AbortController();
  const timer = setTimeout(
    () => limit.abort(new HoldfastError("timeout", `Looking at what is there took longer than ${describeDuration(inspectionMs)}`)),
    inspectionMs,
  );
  try {
    const worker = openWorker(
      { entry: core.entry, kind: "plan", input: setup, marker: `plan-${id}`, lockFds: [] },
      { onProgress: () => undefined, onLog: (level, message, details) => core.log[level](message, { ...details }) },
      AbortSignal.any([signal, limit.signal]),
    );
    return (await worker.finished) as Inspection;
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
  more: readonly Note[],
): PlannedDatastore {
  const { datastore, kind, status, entries } = member;
  const facts = target?.facts ?? null;
  const counts = target?.counts ?? null;
  return {
    datastore,
    kind,
    to: database === undefined ? (into === datastore ? null : into) : `database:${database}`,
    status,
    plainBytes: entries.reduce((sum, { plain }) => sum + plain.bytes, 0),
    entries: entries.length,
    places: findDatastoreDriver(kind).configure(options).sourcePaths,
    now: facts === null ? null : describeNow(facts, counts),
    contents: status === "absent" ? null : (describeCounts(member.contents.counts) ?? null),
    differences: counts === null || status === "absent" ? [] : compareCounts(counts, member.contents.counts),
    method: facts?.method ?? null,
    neededBytes: facts?.neededBytes ?? null,
    users: facts?.users ?? [],
    notes: [...(facts?.notes ?? []), ...(target?.notes ?? []), ...more],
    problem: target?.problem?.message ?? describePresent(database, facts),
  };
}

function describePresent(database: string | undefined, facts: TargetFacts | null): string | null {
  if (database === undefined || facts?.present !== true) return null;
  return `The database ${database} is there already, and database:NAME overwrites nothing`;
}
