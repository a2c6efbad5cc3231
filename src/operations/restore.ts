import type { BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import { formatInstant } from "../base/clock.ts";
import { compareContents, pickContents, type Contents } from "../base/contents.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { pickDefined } from "../base/pick-defined.ts";
import type { Check, Hook } from "../config/config.ts";
import type { RestoreSession, SwapStep, TargetFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { assertSaved } from "./assert-saved.ts";
import type { BackupResult } from "./backup.ts";
import { closeAfterSuccess } from "./close-after-success.ts";
import { explainSystemError } from "./explain-system-error.ts";
import { endCommitted, undoAttempt } from "./end-attempt.ts";
import { assertRestoreFits, forecastRestore } from "./forecast-restore.ts";
import { assertNoneUnfinished, type FindOptions } from "./finish-restore.ts";
import { createRestoreJournal, restoreAsideDir, type RestoreRecord } from "./restore-journal.ts";
import { createDoubtError } from "./list-doubts.ts";
import { isAnythingThere } from "./list-origin-doubts.ts";
import { describeRestoring } from "./parts.ts";
import type { QueriedDatastore } from "./run-check.ts";
import { assertNew, isForeign, nameTargets, stageMember } from "./restore-elsewhere.ts";
import { runHook } from "./run-hook.ts";
import { runLanes, type LaneItem } from "./run-lanes.ts";
import { createUnsavableError, isSaved, savePresent } from "./save-present.ts";
import type { BackupSetup, Surroundings, TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";
import { startRestored, type Aftermath } from "./start-restored.ts";
import { openAddressed, openDestination, verifyBackup, type BackupAddress } from "./verify.ts";

export interface RestoreMember {
  readonly datastore: string;
  /** From the config; without a config what the driver derives from the manifest is taken. */
  readonly options: unknown;
  /** The member of the backup that goes there, where it has another name. */
  readonly from?: string;
  /** A database of this name is made, and nothing that is there is touched. */
  readonly mustBeNew?: string;
}

export interface RestoreSetup extends Surroundings {
  readonly restoreId: string;
  readonly address: BackupAddress;
  readonly job: string;
  readonly members: readonly RestoreMember[];
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  readonly check: readonly Check[];
  /** What checks by SQL are asked of, by name. */
  readonly queried?: readonly QueriedDatastore[];
  /** Whether the restored data stays when a check fails; `no` by default. */
  readonly keep?: "yes" | "no";
  readonly journalDir: string;
  /** How the present data is saved first. */
  readonly preRestore: BackupSetup;
  /** `raw`: where the present data cannot be backed up (damaged) it is left aside as it is, after an explicit word. */
  readonly unsavable: "refuse" | "raw";
  /** Why the backup may not belong there: refused where something is replaced. */
  readonly origin?: readonly string[];
  /** Only these of the one member, the rest of it untouched. */
  readonly parts?: readonly string[];
  /** How many datastores are staged side by side at most. */
  readonly lanes?: number;
}

/** More than that and they wait for the same disk. */
const defaultLanes = 3;

export interface RestoreResult extends Aftermath {
  readonly restoreId: string;
  readonly backup: string;
  readonly members: readonly { readonly datastore: string; readonly method: string }[];
  /** Undefined when there was nothing to save. */
  readonly preRestore: BackupResult | undefined;
  readonly tookMs: number;
}

interface Target extends LaneItem {
  readonly member: ManifestMember;
  readonly session: RestoreSession;
  /** Before the stop; from then on of after it. */
  facts: TargetFacts;
}

/**
 * Brings a backup back. It ends with the restored data verified in place, or with the data as it was:
 * verify the backup → stage and compare → stop → save the present data → swap → start → check; on any failure swap back and start again.
 * The present data is saved after the stop, so that the last write is in it (docs/decisions/0002). Restored data stays when only the
 * application cannot be started on it, or, where that was asked for, does not pass its checks; the result says so.
 * @throws restore-failed when it was rolled back; restore-stuck when the rollback failed too
 */
export async function runRestore(setup: RestoreSetup, ports: TaskPorts, signal: AbortSignal): Promise<RestoreResult> {
  await using resources = new AsyncDisposableStack();
  const startedAtMs = ports.now();
  await assertNoneUnfinished(
    setup.journalDir,
    setup.members.map(({ datastore }) => datastore),
  );
  const destination = resources.use(await openDestination(setup.address.destination));
  const backup = await openAddressed(destination, setup.address, signal);
  const found = setup.members.map(({ datastore, from }) => backup.findMember(from ?? datastore));
  const failed = found.find(({ status }) => status === "failed");
  if (failed !== undefined)
    throw new HoldfastError("backup-incomplete", `The backup ${backup.manifest.name} does not hold "${failed.datastore}": it was left out`);
  await verifyBackup(backup, found, setup.stagingDir, ports, signal);
  const members = nameTargets(setup, found);

  const journal = resources.use(await createRestoreJournal(setup.journalDir, setup.restoreId));
  const records: RestoreRecord[] = [];
  const findOptions: FindOptions = (datastore) => setup.members.find((member) => member.datastore === datastore)?.options;
  const record = async (entry: RestoreRecord): Promise<void> => {
    // Before it is written: a step whose record failed half-way is undone like one that may have happened.
    if (entry.type === "step") records.push(entry);
    await journal.append(entry);
    if (entry.type !== "step") records.push(entry);
  };
  await record({
    type: "begin",
    at: formatInstant(ports.now()),
    id: setup.restoreId,
    backup: backup.manifest.name,
    job: setup.job,
    datastores: members.map(({ datastore }) => datastore),
    start: setup.start.map(copyHook),
    stop: setup.stop.map(copyHook),
  });
  const reach = (phase: ReachedPhase, datastore?: string): Promise<void> =>
    record({ type: "reached", phase, atMs: ports.now(), ...(datastore === undefined ? {} : { datastore }) });
  let preRestore: BackupResult | undefined;
  const targets: Target[] = [];
  let progress: "staging" | "stopping" | "stopped" = "staging";
  let settle = false;
  let aftermath: Aftermath = { unproven: [] };
  try {
    await reach("verified");
    for (const member of members) targets.push(await openTarget(setup, backup, member, { resources, record }, ports, signal));
    if (setup.origin !== undefined && targets.some(({ facts }) => isAnythingThere(facts)))
      throw createDoubtError(backup.manifest.name, setup.origin);
    await assertFits(setup, targets, signal);
    const stage = async (target: Target, inner: AbortSignal): Promise<void> => {
      await stageTarget(setup, backup, target, ports, inner);
      await reach("staged", target.member.datastore);
      ports.progress({ phase: "staged", datastore: target.member.datastore });
    };
    await runLanes(targets, { lanes: setup.lanes ?? defaultLanes, act: stage }, signal);
    progress = "stopping";
    await stopApplication(setup, record, ports, signal);
    progress = "stopped";
    if (setup.stop.length > 0) await reach("stopped");
    await inspectAgain(setup, targets, signal);
    // One after the other: it is one backup, whose members stand in one archive in their order.
    preRestore = await savePresent(setup, targets, ports, signal);
    if (preRestore !== undefined) {
      const { id, name } = preRestore.manifest;
      await record({ type: "saved", destination: setup.preRestore.destination.name, id, name });
    }
    await assertSaved(targets, preRestore, signal);
    await reach("saved");
    await swapTargets(setup, targets, { record, reach }, ports, signal);
    aftermath = await startRestored(setup, targets, record, ports, signal);
    settle = isSaved(preRestore, ports) || targets.every(({ facts }) => !facts.present);
    const { unstarted, unhealthy } = aftermath;
    await record({ type: "committed", settle, ...pickDefined({ unstarted, unhealthy }) });
  } catch (error) {
    await undoAttempt(setup, { records, journal, findOptions }, error, ports);
    // A backup that is not good, or a target that is not safe, is told as what it is: nothing was touched.
    throw progress === "staging" ? error : describeFailure(backup, progress, explainSystemError(error));
  }
  await endCommitted(setup, { records, journal, findOptions }, settle, ports);
  await closeAfterSuccess(resources, ports);
  return {
    restoreId: setup.restoreId,
    backup: backup.manifest.name,
    members: targets.map(({ member, facts }) => ({ datastore: member.datastore, method: facts.method })),
    preRestore,
    tookMs: ports.now() - startedAtMs,
    ...aftermath,
  };
}

type ReachedPhase = Extract<RestoreRecord, { type: "reached" }>["phase"];
type Reach = (phase: ReachedPhase, datastore?: string) => Promise<void>;

async function openTarget(
  setup: RestoreSetup,
  backup: BackupReader,
  member: ManifestMember,
  { resources, record }: { readonly resources: AsyncDisposableStack; readonly record: (entry: RestoreRecord) => Promise<void> },
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
  const application = setup.stop.length > 0 ? ("stopped" as const) : ("may-run" as const);
  const restoring = {
    absent: member.status === "absent",
    application,
    ...describeRestoring(setup.parts, backup.manifest.class),
    ...(isForeign(setup, datastore) ? { foreign: true } : {}),
    record: (step: SwapStep) => record({ type: "step", datastore, kind, step }),
    asideDir: restoreAsideDir(setup.journalDir, setup.restoreId),
  };
  const session = resources.use(await opened.openRestore({ kind: "original" }, restoring, signal));
  const key = await configured.identify(signal).catch(() => undefined);
  const facts = await session.inspect(signal);
  assertNew(setup, datastore, facts);
  return { member, session, key, facts };
}

/** What need not be saved (`raw`) needs no room. */
async function assertFits(
  { preRestore, stagingDir, unsavable }: RestoreSetup,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<void> {
  await using saveTo = unsavable === "raw" ? undefined : await openDestination(preRestore.destination);
  const demands = targets.map(({ member, facts }) => ({ datastore: member.datastore, plainBytes: countPlain(member), facts }));
  const needs = await forecastRestore(demands, { stagingDir, saveTo, layout: preRestore.layout }, signal).catch((error: unknown) => {
    // Only the destination of what is there now can fail here.
    throw signal.aborted ? error : createUnsavableError(error);
  });
  assertRestoreFits(needs);
}

const countPlain = ({ entries }: ManifestMember): number => entries.reduce((sum, { plain }) => sum + plain.bytes, 0);

async function stageTarget(
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

function assertSame({ parts }: RestoreSetup, { member, session }: Pick<Target, "member" | "session">, found: Contents, what: string): void {
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

async function stopApplication(
  setup: RestoreSetup,
  record: (entry: RestoreRecord) => Promise<void>,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  if (setup.stop.length === 0) return;
  ports.progress({ phase: "stopping the application" });
  await record({ type: "stopping" });
  for (const hook of setup.stop) await runHook(hook, "stop", signal);
}

/**
 * An application that had the data open at first has been stopped by now: then the data is swapped as a file and compared in place. What was
 * not there at first may have come into being since.
 */
async function inspectAgain(setup: RestoreSetup, targets: readonly Target[], signal: AbortSignal): Promise<void> {
  for (const target of targets)
    if (target.facts.users.length > 0 || !target.facts.present) target.facts = await target.session.inspect(signal);
  for (const { member, facts } of targets) assertNew(setup, member.datastore, facts);
}

/** One after the other: the moment at which some are new and some old is as short as one swap, and a roll-back has one half-way at most. */
async function swapTargets(
  setup: RestoreSetup,
  targets: readonly Target[],
  { record, reach }: { readonly record: (entry: RestoreRecord) => Promise<void>; readonly reach: Reach },
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  for (const { member, session, facts } of targets) {
    const { datastore, kind } = member;
    ports.progress({ phase: "swapping", datastore });
    await session.swap((step) => record({ type: "step", datastore, kind, step }), signal);
    // While an application has the data open it may have written already: then the staged copy's comparison is all there can be.
    if (member.status !== "absent" && facts.users.length === 0)
      assertSame(setup, { member, session }, await session.summarize(signal), "the restored data");
    await reach("swapped", datastore);
    ports.progress({ phase: "swapped", datastore });
  }
}

function describeFailure(backup: BackupReader, progress: "stopping" | "stopped", error: unknown): HoldfastError {
  const known = error instanceof HoldfastError ? error : undefined;
  const state = progress === "stopping" ? "the restore did not begin, nothing was touched" : "the data is as it was";
  return new HoldfastError("restore-failed", `Cannot restore ${backup.manifest.name}; ${state}: ${describeCause(error)}`, {
    cause: error,
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
    details: { cause: known?.code ?? "internal" },
  });
}

/** A plain, mutable copy, as the journal's schema has it. */
function copyHook({ command, env, ...rest }: Hook): Extract<RestoreRecord, { type: "begin" }>["start"][number] {
  return { ...rest, command: [...command], ...(env === undefined ? {} : { env: { ...env } }) };
}
