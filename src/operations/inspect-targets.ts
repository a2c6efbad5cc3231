import { join } from "node:path";
import type { BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import type { Note } from "../base/note.ts";
import { reportError, type ErrorReport } from "../base/errors.ts";
import type { RestoreOptions, RestoreSession, TargetFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { lookUpParts } from "./look-up-parts.ts";
import { forecastRestore, type SpaceNeed } from "./forecast-restore.ts";
import type { BackupSetup, DestinationSetup, Surroundings, TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";
import { openAddressed, openDestination, type BackupAddress } from "./verify.ts";

export interface InspectionSetup extends Surroundings {
  /** What would be restored from. */
  readonly address: BackupAddress;
  readonly targets: readonly {
    readonly datastore: string;
    readonly kind: string;
    readonly options: unknown;
    /** Of the member that would come back. */
    readonly absent: boolean;
    /** What alone would come back. */
    readonly restoring: Pick<RestoreOptions, "parts" | "beyond">;
    /** Of the member. */
    readonly plainBytes: number;
    /** How backups of what is there were compressed before. */
    readonly ratio?: number | undefined;
  }[];
  /** Where what is there is saved first. */
  readonly saveTo: DestinationSetup;
  readonly layout: BackupSetup["layout"];
}

/** How long counting one datastore may take: a plan must not keep its reader waiting. */
const countMs = 5_000;

export interface InspectedTarget {
  readonly datastore: string;
  readonly facts: TargetFacts | null;
  /** What is there now, under the names of the manifest; null where it was not counted. */
  readonly counts: Readonly<Record<string, number>> | null;
  /** Why nothing can be said of it, or put there. */
  readonly problem: ErrorReport | null;
  /** What the backup has not of the parts. */
  readonly notes: readonly Note[];
}

export interface Inspection {
  readonly targets: readonly InspectedTarget[];
  /** Null where the places cannot be looked at. */
  readonly space: readonly SpaceNeed[] | null;
}

/** Looks at what a restore would replace and whether it would fit, and changes nothing. One datastore's trouble hides no other. */
export async function runInspection(setup: InspectionSetup, ports: TaskPorts, signal: AbortSignal): Promise<Inspection> {
  const inspected: InspectedTarget[] = [];
  for (const { datastore, kind, options, absent, restoring } of setup.targets) {
    signal.throwIfAborted();
    ports.progress({ phase: "looking", datastore });
    try {
      await using staging = await openStagingDirectory(join(setup.stagingDir, "inspection"), datastore);
      const context = { name: datastore, stagingDir: staging.path, progress: () => undefined };
      await using opened = await findDatastoreDriver(kind).configure(options).open(context);
      await using session = await opened.openRestore({ kind: "original" }, { absent, ...restoring }, signal);
      const facts = await session.inspect(signal);
      const counts = facts.present && restoring.parts === undefined ? await countPresent(session, signal) : null;
      const notes = restoring.parts === undefined ? [] : await lookUp(setup.address, { datastore, session, restoring }, signal);
      inspected.push({ datastore, facts, counts, problem: null, notes });
    } catch (error) {
      inspected.push({ datastore, facts: null, counts: null, problem: reportError(error), notes: [] });
    }
  }
  return { targets: inspected, space: await forecast(setup, inspected, signal) };
}

async function lookUp(
  address: BackupAddress,
  {
    datastore,
    session,
    restoring,
  }: { readonly datastore: string; readonly session: RestoreSession } & Pick<InspectionSetup["targets"][number], "restoring">,
  signal: AbortSignal,
): Promise<readonly Note[]> {
  await using resources = new AsyncDisposableStack();
  const open = async (): Promise<{ readonly backup: BackupReader; readonly member: ManifestMember }> => {
    const destination = resources.use(await openDestination(address.destination));
    const backup = await openAddressed(destination, address, signal);
    return { backup, member: backup.findMember(datastore) };
  };
  return await lookUpParts(session, open, restoring, signal);
}

/** Counting is a service: what cannot be counted in time is unknown, and no trouble. */
export async function countPresent(session: RestoreSession, signal: AbortSignal): Promise<InspectedTarget["counts"]> {
  try {
    return (await session.count?.(AbortSignal.any([signal, AbortSignal.timeout(countMs)]))) ?? null;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}

async function forecast(
  { targets, stagingDir, saveTo, layout }: InspectionSetup,
  inspected: readonly InspectedTarget[],
  signal: AbortSignal,
): Promise<readonly SpaceNeed[] | null> {
  const demands = inspected.flatMap(({ datastore, facts }) => {
    const target = targets.find((each) => each.datastore === datastore);
    return facts === null || target === undefined ? [] : [{ datastore, plainBytes: target.plainBytes, facts, ratio: target.ratio }];
  });
  try {
    await using destination = await openDestination(saveTo);
    return await forecastRestore(demands, { stagingDir, saveTo: destination, layout }, signal);
  } catch {
    signal.throwIfAborted();
    return null; // the restore itself tells what is wrong with its destination
  }
}
