import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BackupReader } from "../../archive/backup-reader.ts";
import type { Manifest } from "../../archive/manifest.ts";
import { describeCause } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import type { Check, Config, Hook } from "../../config/config.ts";
import type { RestoreOptions, TargetFacts } from "../../datastores/contract.ts";
import { lookUpParts } from "../look-up-parts.ts";
import { forecastRestore, type SpaceNeed } from "../forecast-restore.ts";
import { countPresent, type InspectedTarget } from "../inspect-targets.ts";
import type { PassedOver } from "../passed-over.ts";
import { chooseServices, type RestoreServices } from "../restore-services.ts";
import { openStagingDirectory } from "../staging.ts";
import { listDoubts } from "../list-doubts.ts";
import { assertParts } from "../assert-parts.ts";
import { describeRestoring, listParts, type PartsRequest } from "../parts.ts";
import { openAddressed, openDestination } from "../verify.ts";
import { chooseTargets, type OfflineTarget } from "./choose-targets.ts";
import type { OfflineBackup } from "./open-view.ts";
import { describeDirectory } from "./place-of-path.ts";

export interface PlannedMember {
  readonly target: OfflineTarget;
  /** Absent where the place cannot be looked at; `problem` says why. */
  readonly facts?: TargetFacts;
  readonly problem?: string;
  /** What is there now, under the names of the manifest; null where it was not counted. */
  readonly counts: InspectedTarget["counts"];
  /** What the backup has not of the parts. */
  readonly notes: readonly Note[];
}

/** What a restore would do; nothing was touched to make it. */
export interface OfflinePlan extends PartsRequest {
  readonly chosen: OfflineBackup;
  readonly manifest: Manifest;
  readonly members: readonly PlannedMember[];
  /** Not in the backup; they stay as they are. */
  readonly leftOut: readonly string[];
  /** What is needed of each disk; null where that cannot be told. */
  readonly space: readonly SpaceNeed[] | null;
  /** What is newer than the backup that `latest` means, and why it is not meant. */
  readonly passedOver: readonly PassedOver[];
  /** Why the backup is not plainly good. */
  readonly doubts: readonly string[];
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  /** Servers of the data, which are stopped and started in any case. */
  readonly services: RestoreServices;
  readonly check: readonly Check[];
}

interface PlanRequest {
  readonly config: Config | undefined;
  readonly only: readonly string[] | undefined;
  readonly parts: PartsRequest;
  readonly stagingDir: string;
  /** Where the present data is saved first; may not be there yet. */
  readonly saveTo: string;
  readonly passedOver: readonly PassedOver[];
}

/** Looks at every target as it is now. */
export async function planOfflineRestore(chosen: OfflineBackup, request: PlanRequest, signal: AbortSignal): Promise<OfflinePlan> {
  await using destination = await openDestination(chosen.address.destination);
  const backup = await openAddressed(destination, chosen.address, signal);
  const { manifest } = backup;
  const members: PlannedMember[] = [];
  const targets = chooseTargets(manifest, request.config, request.only);
  assertParts(
    targets.map(({ member }) => member),
    request.parts,
  );
  const restoring = describeRestoring(listParts(request.parts), manifest.class);
  for (const target of targets) members.push(await inspectTarget(target, { backup, stagingDir: request.stagingDir, restoring }, signal));
  const replaced = targets.map(({ member: { datastore }, options }) => ({ datastore, options }));
  const hooks = request.config?.jobs.get(manifest.job)?.restore;
  return {
    chosen,
    manifest,
    members,
    leftOut:
      request.only === undefined ? manifest.members.filter(({ status }) => status === "failed").map(({ datastore }) => datastore) : [],
    ...request.parts,
    space: await forecast(members, request, signal),
    passedOver: request.passedOver,
    doubts: listDoubts(chosen.backup),
    stop: hooks?.stop ?? [],
    start: hooks?.start ?? [],
    services: chooseServices(request.config?.datastores ?? new Map(), replaced),
    check: hooks?.check ?? [],
  };
}

async function forecast(
  members: readonly PlannedMember[],
  { stagingDir, saveTo }: PlanRequest,
  signal: AbortSignal,
): Promise<readonly SpaceNeed[] | null> {
  const demands = members.flatMap(({ target: { member }, facts }) =>
    facts === undefined
      ? []
      : [{ datastore: member.datastore, plainBytes: member.entries.reduce((sum, { plain }) => sum + plain.bytes, 0), facts }],
  );
  try {
    let place = saveTo;
    while (!existsSync(place) && place !== dirname(place)) place = dirname(place);
    await using destination = await openDestination({ ...describeDirectory(place), name: saveTo });
    return await forecastRestore(demands, { stagingDir, saveTo: destination, layout: "directory" }, signal);
  } catch {
    signal.throwIfAborted();
    return null; // the restore itself tells what is wrong with the place
  }
}

async function inspectTarget(
  target: OfflineTarget,
  {
    backup,
    stagingDir,
    restoring,
  }: { readonly backup: BackupReader; readonly stagingDir: string; readonly restoring: Pick<RestoreOptions, "parts" | "beyond"> },
  signal: AbortSignal,
): Promise<PlannedMember> {
  const { member, configured } = target;
  await using staging = await openStagingDirectory(stagingDir, `${member.datastore}-plan`);
  const own = join(staging.path, "own");
  await mkdir(own, { mode: 0o700 });
  try {
    await using opened = await configured.open({ name: member.datastore, stagingDir: own, progress: () => undefined });
    await using session = await opened.openRestore({ kind: "original" }, { absent: member.status === "absent", ...restoring }, signal);
    const facts = await session.inspect(signal);
    const counts = facts.present && restoring.parts === undefined ? await countPresent(session, signal) : null;
    return { target, facts, counts, notes: await lookUpParts(session, () => Promise.resolve({ backup, member }), restoring, signal) };
  } catch (error) {
    signal.throwIfAborted();
    return { target, problem: describeCause(error), counts: null, notes: [] };
  }
}
