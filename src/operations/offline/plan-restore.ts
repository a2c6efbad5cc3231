import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Manifest } from "../../archive/manifest.ts";
import { describeCause } from "../../base/errors.ts";
import type { Check, Config, Hook } from "../../config/config.ts";
import type { RestoreOptions, TargetFacts } from "../../datastores/contract.ts";
import { openStagingDirectory } from "../staging.ts";
import { listDoubts } from "../list-doubts.ts";
import { assertParts, describeRestoring, listParts, type PartsRequest } from "../parts.ts";
import { openAddressed, openDestination } from "../verify.ts";
import { chooseTargets, type OfflineTarget } from "./choose-targets.ts";
import type { OfflineBackup } from "./open-view.ts";

export interface PlannedMember {
  readonly target: OfflineTarget;
  /** Absent where the place cannot be looked at; `problem` says why. */
  readonly facts?: TargetFacts;
  readonly problem?: string;
}

/** What a restore would do; nothing was touched to make it. */
export interface OfflinePlan extends PartsRequest {
  readonly chosen: OfflineBackup;
  readonly manifest: Manifest;
  readonly members: readonly PlannedMember[];
  /** Not in the backup; they stay as they are. */
  readonly leftOut: readonly string[];
  /** Why the backup is not plainly good. */
  readonly doubts: readonly string[];
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  readonly check: readonly Check[];
}

interface PlanRequest {
  readonly config: Config | undefined;
  readonly only: readonly string[] | undefined;
  readonly parts: PartsRequest;
  readonly stagingDir: string;
}

/** Looks at every target as it is now. */
export async function planOfflineRestore(chosen: OfflineBackup, request: PlanRequest, signal: AbortSignal): Promise<OfflinePlan> {
  await using destination = await openDestination(chosen.address.destination);
  const { manifest } = await openAddressed(destination, chosen.address, signal);
  const members: PlannedMember[] = [];
  const targets = chooseTargets(manifest, request.config, request.only);
  assertParts(
    targets.map(({ member }) => member),
    request.parts,
  );
  const restoring = describeRestoring(listParts(request.parts), manifest.class);
  for (const target of targets) members.push(await inspectTarget(target, request, restoring, signal));
  const hooks = request.config?.jobs.get(manifest.job)?.restore;
  return {
    chosen,
    manifest,
    members,
    leftOut:
      request.only === undefined ? manifest.members.filter(({ status }) => status === "failed").map(({ datastore }) => datastore) : [],
    ...request.parts,
    doubts: listDoubts(chosen.backup),
    stop: hooks?.stop ?? [],
    start: hooks?.start ?? [],
    check: hooks?.check ?? [],
  };
}

async function inspectTarget(
  target: OfflineTarget,
  { stagingDir }: PlanRequest,
  restoring: Pick<RestoreOptions, "parts" | "beyond">,
  signal: AbortSignal,
): Promise<PlannedMember> {
  const { member, configured } = target;
  await using staging = await openStagingDirectory(stagingDir, `${member.datastore}-plan`);
  const own = join(staging.path, "own");
  await mkdir(own, { mode: 0o700 });
  try {
    await using opened = await configured.open({ name: member.datastore, stagingDir: own, progress: () => undefined });
    await using session = await opened.openRestore({ kind: "original" }, { absent: member.status === "absent", ...restoring }, signal);
    return { target, facts: await session.inspect(signal) };
  } catch (error) {
    signal.throwIfAborted();
    return { target, problem: describeCause(error) };
  }
}
