import type { Manifest } from "../archive/manifest.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { collectMember, type CollectedMember, type MemberSource } from "./collect-member.ts";
import { whileHeld } from "./hold/while-held.ts";
import { isAllowedToMiss, leaveOut, type LeftOutSource } from "./open-source.ts";
import type { BackupSetup, HoldSetup, TaskPorts } from "./setup.ts";
import { completeMember, takeSnapshot, type TakenSnapshot } from "./take-snapshot.ts";

type Source = MemberSource | LeftOutSource;
type Setup = Pick<BackupSetup, "job" | "group" | "holdsDir">;

export interface CollectedMembers {
  readonly members: readonly CollectedMember[];
  /** Where the setup asks for one restore point of all. */
  readonly group?: NonNullable<Manifest["group"]>;
}

/**
 * Gets all datastores into the backup, one after the other. One that has to stand still does so only while its state is fixed; those of a
 * group are fixed while the application is frozen, and dumped when it goes on.
 * @throws what fails a datastore; whatever stood still goes on first
 */
export async function collectMembers(
  sources: readonly Source[],
  setup: Setup,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<CollectedMembers> {
  const collect = async (source: Source): Promise<CollectedMember> => {
    if ("member" in source) return describeLeftOut(source);
    if (source.setup.hold === undefined) return await collectMember(source, ports, signal);
    return await completeMember(source, await takeSnapshot(source, requireDirectory(setup), ports, signal), ports, signal);
  };
  const { job, group: freeze } = setup;
  if (freeze !== undefined) return await collectGroup(sources, { job, freeze, directory: requireDirectory(setup) }, ports, signal);
  const members: CollectedMember[] = [];
  for (const source of sources) members.push(await collect(source));
  return { members };
}

/** It outlives the task, unlike everything else that a backup writes on this machine. */
function requireDirectory({ holdsDir, job }: Setup): string {
  if (holdsDir === undefined)
    throw new HoldfastError("internal", `Bug: the job "${job}" is to hold something, and there is no place to note it`);
  return holdsDir;
}

async function collectGroup(
  sources: readonly Source[],
  { job, freeze, directory }: { readonly job: string; readonly freeze: HoldSetup; readonly directory: string },
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<CollectedMembers> {
  const taken = new Map<MemberSource, TakenSnapshot | LeftOutSource>();
  const take = async (source: MemberSource, held: AbortSignal): Promise<TakenSnapshot | LeftOutSource> => {
    try {
      return await takeSnapshot(source, directory, ports, held);
    } catch (error) {
      return leaveOutMissing(source, error, ports, held);
    }
  };
  ports.progress({ phase: "freezing" });
  const order = { what: `the application of "${job}" is frozen`, ...freeze, directory };
  const { value, heldMs } = await whileHeld(order, ports, signal, async (held) => {
    const firstAtMs = ports.now();
    // Clocks jump.
    const beganMs = performance.now();
    for (const source of sources) if (!("member" in source)) taken.set(source, await take(source, held));
    const lastAtMs = Math.round(firstAtMs + performance.now() - beganMs);
    return { firstAt: formatInstant(firstAtMs), lastAt: formatInstant(lastAtMs) };
  });
  const complete = async (source: Source): Promise<CollectedMember> => {
    if ("member" in source) return describeLeftOut(source);
    const snapshot = taken.get(source);
    if (snapshot === undefined) throw new HoldfastError("internal", `Bug: "${source.datastore}" of a group has no snapshot`);
    return "member" in snapshot ? describeLeftOut(snapshot) : await completeMember(source, snapshot, ports, signal);
  };
  const members: CollectedMember[] = [];
  for (const source of sources) members.push(await complete(source));
  return { members, group: { ...value, frozenMs: heldMs } };
}

function describeLeftOut({ member }: LeftOutSource): CollectedMember {
  return { member, plainBytes: 0 };
}

/** One whose dump has begun has left traces in the backup. @throws the error where the datastore may not be missing */
function leaveOutMissing(source: MemberSource, error: unknown, ports: TaskPorts, signal: AbortSignal): LeftOutSource {
  const { datastore, kind, id, opened, setup } = source;
  const isMissing = error instanceof HoldfastError && isAllowedToMiss(error, setup.onMissing ?? "fail");
  if (signal.aborted || !isMissing || opened.snapshot === undefined) throw error;
  return leaveOut({ datastore, kind, id, tookMs: 0 }, error, ports);
}
