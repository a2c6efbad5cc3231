import type { BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import { compareContents, pickContents, type Contents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import type { RestoreSession, SwapStep, TargetFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { findRatio } from "./forecast.ts";
import { assertRestoreFits, forecastRestore } from "./forecast-restore.ts";
import { describeRestoring } from "./parts.ts";
import { assertNew, isForeign, stageMember } from "./restore-elsewhere.ts";
import { restoreAsideDir, type RestoreRecord } from "./restore-journal.ts";
import type { RestoreSetup } from "./restore-setup.ts";
import type { LaneItem } from "./run-lanes.ts";
import { createUnsavedError } from "./save-present.ts";
import type { TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";
import { openDestination, verifyForStaging, type VerifyDepth } from "./verify.ts";

export interface Target extends LaneItem {
  readonly member: ManifestMember;
  readonly session: RestoreSession;
  /** Before the stop; from then on of after it. */
  facts: TargetFacts;
}

/**
 * What is staged whole, and read by its hashes and its format then, is compared with the manifest before anything is stopped: here the
 * hashes of what is stored are enough, and for a tree that it may be unpacked.
 */
export async function verifyFirst(
  setup: RestoreSetup,
  backup: BackupReader,
  members: readonly ManifestMember[],
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  const { parts, stagingDir } = setup;
  const findDepth = ({ kind, datastore, entries }: ManifestMember): VerifyDepth => {
    const { stageChecks, refuseHostileTree } = findDatastoreDriver(kind);
    if (parts !== undefined) return "contents";
    // Of what goes elsewhere a failure of the staging is taken for one of the place, and not of the backup.
    const goesElsewhere = setup.members.some(({ from }) => from === datastore);
    if (stageChecks === "format") return goesElsewhere ? "plain" : "stored";
    const isTree = refuseHostileTree !== undefined && entries.every(({ form }) => form === "tree");
    return isTree && !goesElsewhere ? "form" : "contents";
  };
  await verifyForStaging(backup, members, { stagingDir, findDepth }, ports, signal);
}

export interface OpenedWith {
  readonly resources: AsyncDisposableStack;
  readonly record: (entry: RestoreRecord) => Promise<void>;
  readonly keys: ReadonlyMap<string, ConcurrencyKey>;
}

export async function openTarget(
  setup: RestoreSetup,
  backup: BackupReader,
  member: ManifestMember,
  { resources, record, keys }: OpenedWith,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<Target> {
  const { datastore, kind, entries } = member;
  const driver = findDatastoreDriver(kind);
  const options = setup.members.find((candidate) => candidate.datastore === datastore)?.options ?? driver.deriveOptions(entries);
  const staging = resources.use(await openStagingDirectory(setup.stagingDir, `${datastore}-restore`));
  const context = {
    name: datastore,
    stagingDir: staging.path,
    progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore }),
  };
  const configured = driver.configure(options);
  const opened = resources.use(await configured.open(context));
  const isStopped = setup.stop.length > 0 || setup.services?.datastores.includes(datastore) === true;
  const application = isStopped ? ("stopped" as const) : ("may-run" as const);
  const restoring = {
    absent: member.status === "absent",
    application,
    ...describeRestoring(setup.parts, backup.manifest.class),
    ...(isForeign(setup, datastore) ? { foreign: true } : {}),
    record: (step: SwapStep) => record({ type: "step", datastore, kind, step }),
    asideDir: restoreAsideDir(setup.journalDir, setup.restoreId),
  };
  const session = resources.use(await opened.openRestore({ kind: "original" }, restoring, signal));
  const facts = await session.inspect(signal);
  assertNew(setup, datastore, facts);
  return { member, session, key: keys.get(datastore), facts };
}

/** What need not be saved (`raw`) needs no room. */
export async function assertFits(
  { preRestore, stagingDir, unsavable }: RestoreSetup,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<void> {
  await using saveTo = unsavable === "raw" ? undefined : await openDestination(preRestore.destination);
  const demands = targets.map(({ member, facts }) => {
    const { datastore } = member;
    return { datastore, plainBytes: countPlain(member), facts, ratio: findRatio(datastore, preRestore) };
  });
  const needs = await forecastRestore(demands, { stagingDir, saveTo, layout: preRestore.layout }, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw createUnsavedError(error); // its destination is what is asked
  });
  assertRestoreFits(needs);
}

const countPlain = ({ entries }: ManifestMember): number => entries.reduce((sum, { plain }) => sum + plain.bytes, 0);

export async function stageTarget(
  setup: RestoreSetup,
  backup: BackupReader,
  { member, session }: Target,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  ports.progress({ phase: "staging", datastore: member.datastore });
  const contents = await stageMember(setup, backup, member, session, signal);
  if (member.status !== "absent") assertSame(setup, { member, session }, contents, "the staged copy");
}

/** @throws backup-damaged where what was found is not what the manifest states */
export function assertSame(
  { parts }: RestoreSetup,
  { member, session }: Pick<Target, "member" | "session">,
  found: Contents,
  what: string,
): void {
  const told = parts === undefined ? undefined : session.expectedOfParts?.();
  const expected = parts === undefined ? member.contents : (told ?? pickContents(member.contents, found));
  const isEmpty = parts !== undefined && told === undefined && Object.keys({ ...expected.counts, ...expected.digests }).length === 0;
  const differences = isEmpty ? [`nothing of ${parts.join(", ")} was counted`] : compareContents(expected, found);
  if (differences.length === 0) return;
  throw new HoldfastError(
    "backup-damaged",
    `Of "${member.datastore}" ${what} does not hold what the manifest states: ${differences.slice(0, 5).join("; ")}`,
  );
}
