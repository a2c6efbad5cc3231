import type { BackupReader } from "../archive/backup-reader.ts";
import { formatInstant } from "../base/clock.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { pickDefined } from "../base/pick-defined.ts";
import type { Hook } from "../config/config.ts";
import { assertSaved } from "./assert-saved.ts";
import type { BackupResult } from "./backup.ts";
import { closeAfterSuccess } from "./close-after-success.ts";
import { explainSystemError } from "./explain-system-error.ts";
import { endCommitted, undoAttempt } from "./end-attempt.ts";
import { assertNoneUnfinished, type SoughtDatastore } from "./find-blocking.ts";
import { describeLeftStopped, type FindOptions } from "./finish-restore.ts";
import { createDoubtError } from "./list-doubts.ts";
import { takeOverHolds } from "./hold/take-over-holds.ts";
import { isAnythingThere } from "./list-origin-doubts.ts";
import { assertNew, nameTargets } from "./restore-elsewhere.ts";
import { createRestoreJournal, type RestoreRecord } from "./restore-journal.ts";
import { assertStopped } from "./restore-services.ts";
import type { RestoreSetup } from "./restore-setup.ts";
import { assertFits, assertSame, openTarget, stageTarget, verifyFirst, type Target } from "./restore-target.ts";
import { runHook } from "./run-hook.ts";
import { runLanes } from "./run-lanes.ts";
import { identifyMembers } from "./same-server.ts";
import { isSaved, savePresent } from "./save-present.ts";
import type { TaskPorts } from "./setup.ts";
import { startRestored, type Aftermath } from "./start-restored.ts";
import { openAddressed, openDestination } from "./verify.ts";

/** More than that and they wait for the same disk. */
const defaultLanes = 3;

export interface RestoreResult extends Aftermath {
  readonly restoreId: string;
  readonly backup: string;
  readonly members: readonly { readonly datastore: string; readonly method: string }[];
  /** Undefined when there was nothing to save. */
  readonly preRestore: BackupResult | undefined;
  /** The destination that has it. */
  readonly savedTo: string;
  readonly tookMs: number;
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
  const stop = [...setup.stop, ...(setup.services?.stop ?? [])];
  const start = [...(setup.services?.start ?? []), ...setup.start];
  await refuseUnfinished(
    setup,
    setup.members.map(({ datastore }) => ({ name: datastore, key: undefined })),
  );
  const destination = resources.use(await openDestination(setup.address.destination));
  const backup = await openAddressed(destination, setup.address, signal);
  const found = setup.members.map(({ datastore, from }) => backup.findMember(from ?? datastore));
  const failed = found.find(({ status }) => status === "failed");
  if (failed !== undefined)
    throw new HoldfastError("backup-incomplete", `The backup ${backup.manifest.name} does not hold "${failed.datastore}": it was left out`);
  await verifyFirst(setup, backup, found, ports, signal);
  const members = nameTargets(setup, found);
  const findOptions: FindOptions = (datastore) => setup.members.find((member) => member.datastore === datastore)?.options;
  const keys = await identifyMembers(members, findOptions, signal);
  await refuseUnfinished(
    setup,
    members.map(({ datastore }) => ({ name: datastore, key: keys.get(datastore)?.id })),
  );

  const journal = resources.use(await createRestoreJournal(setup.journalDir, setup.restoreId));
  const records: RestoreRecord[] = [];
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
    keys: Object.fromEntries([...keys].map(([datastore, { id }]) => [datastore, id])),
    start: start.map(copyHook),
    stop: stop.map(copyHook),
    ...(describeLeftStopped(setup) === undefined ? {} : { application: "stays-stopped" }),
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
    for (const member of members) targets.push(await openTarget(setup, backup, member, { resources, record, keys }, ports, signal));
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
    await stopApplication(setup, { stop, record, resources }, ports, signal);
    progress = "stopped";
    if (stop.length > 0) await reach("stopped");
    if (setup.services !== undefined) await assertStopped(setup.services, signal);
    await inspectAgain(setup, targets, signal);
    // One after the other: it is one backup, whose members stand in one archive in their order.
    preRestore = await savePresent(setup, targets, ports, signal);
    if (preRestore !== undefined) {
      const { id, name } = preRestore.manifest;
      await record({ type: "saved", destination: setup.preRestore.destination.name, id, name });
    }
    await assertSaved(targets, preRestore, signal);
    await reach("saved");
    // Saving may take long.
    if (setup.services !== undefined) await assertStopped(setup.services, signal);
    await swapTargets(setup, targets, { record, reach }, ports, signal);
    // An application that stays stopped cannot be well.
    const check = setup.start.length === 0 && setup.stop.length > 0 ? [] : setup.check;
    aftermath = await startRestored({ ...setup, start, stop, check }, targets, record, ports, signal);
    settle = isSaved(preRestore, ports) || targets.every(({ facts }) => !facts.present);
    const { unstarted, unhealthy } = aftermath;
    await record({ type: "committed", settle, ...pickDefined({ unstarted, unhealthy }) });
  } catch (error) {
    await undoAttempt(setup, { records, journal, findOptions }, error, ports);
    // A backup that is not good, or a target that is not safe, is told as what it is: nothing was touched.
    throw progress === "staging" ? error : describeFailure(setup, backup, progress, explainSystemError(error));
  }
  await endCommitted(setup, { records, journal, findOptions }, settle, ports);
  await closeAfterSuccess(resources, ports);
  return {
    restoreId: setup.restoreId,
    backup: backup.manifest.name,
    members: targets.map(({ member, facts }) => ({ datastore: member.datastore, method: facts.method })),
    preRestore,
    savedTo: setup.preRestore.destination.name,
    tookMs: ports.now() - startedAtMs,
    ...aftermath,
  };
}

async function refuseUnfinished({ journalDir, otherJournalDirs = [] }: RestoreSetup, sought: readonly SoughtDatastore[]): Promise<void> {
  for (const directory of [journalDir, ...otherJournalDirs]) await assertNoneUnfinished(directory, sought);
}

type ReachedPhase = Extract<RestoreRecord, { type: "reached" }>["phase"];
type Reach = (phase: ReachedPhase, datastore?: string) => Promise<void>;

async function stopApplication(
  { services, holdsDir }: Pick<RestoreSetup, "services" | "holdsDir">,
  {
    stop,
    record,
    resources,
  }: { readonly stop: readonly Hook[]; readonly record: (entry: RestoreRecord) => Promise<void>; readonly resources: AsyncDisposableStack },
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  if (stop.length === 0) return;
  ports.progress({ phase: "stopping the application" });
  await record({ type: "stopping" });
  if (services !== undefined && holdsDir !== undefined) resources.use(await takeOverHolds(holdsDir, services.holds, ports, signal));
  for (const hook of stop) await runHook(hook, "stop", signal);
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

function describeFailure(
  setup: Pick<RestoreSetup, "stop" | "start">,
  backup: BackupReader,
  progress: "stopping" | "stopped",
  error: unknown,
): HoldfastError {
  const known = error instanceof HoldfastError ? error : undefined;
  const left = describeLeftStopped(setup);
  // Which of its stop commands did something is not known where one of them failed.
  const stays = progress === "stopping" ? "what was stopped stays stopped, because nothing was to start it" : left?.message;
  const state = progress === "stopping" ? "the restore did not begin, nothing was touched" : "the data is as it was";
  const hint = [left?.hint, known?.hint].filter((each) => each !== undefined).join(" ");
  return new HoldfastError(
    "restore-failed",
    `Cannot restore ${backup.manifest.name}; ${state}${left === undefined ? "" : `, and ${stays}`}: ${describeCause(error)}`,
    { cause: error, ...(hint === "" ? {} : { hint }), details: { cause: known?.code ?? "internal" } },
  );
}

/** A plain, mutable copy, as the journal's schema has it. */
function copyHook({ command, env, ...rest }: Hook): Extract<RestoreRecord, { type: "begin" }>["start"][number] {
  return { ...rest, command: [...command], ...(env === undefined ? {} : { env: { ...env } }) };
}
