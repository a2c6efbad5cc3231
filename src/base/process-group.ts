import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { readErrno } from "./errors.ts";
import { createAbortError } from "./subprocess.ts";

/** How often it is looked whether the processes are gone: /proc has no event for processes that are not our children. */
const pollMs = 20;

/** Names one process for good: a pid alone is used again by the kernel. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Kernel ticks from boot to the start of the process. */
  readonly startTicks: number;
  readonly bootId: string;
}

interface ProcessState {
  readonly pid: number;
  readonly groupId: number;
  readonly startTicks: number;
  /** Has ended and waits for its parent to look. */
  readonly dead: boolean;
}

/** The identity of a process; undefined when there is none with this pid, or only its remains. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const state = readState(pid);
  return state === undefined || state.dead ? undefined : { pid, startTicks: state.startTicks, bootId: readBootId() };
}

export function isAlive(identity: ProcessIdentity): boolean {
  const found = identifyProcess(identity.pid);
  return found !== undefined && found.startTicks === identity.startTicks && found.bootId === identity.bootId;
}

/**
 * Ends a process, its process group, and every other process with `HOLDFAST_TASK=<marker>` in its environment, wherever it moved:
 * SIGTERM, then SIGKILL after the grace. Resolves when none is left; aborting stops the waiting, not what was sent.
 * The group is only touched while its leader is the very process that was recorded, so a pid that was used again is left alone.
 * What must outlive the task (an application that a hook started) must not have the marker in its environment. Reading the
 * environment of other users' processes needs CAP_SYS_PTRACE; without it they are found through the group alone.
 * @param identity undefined when the process was never recorded: the marker alone decides
 * @param signal aborting rejects with `cancelled`
 */
export async function endProcessGroup(
  identity: ProcessIdentity | undefined,
  marker: string,
  graceMs: number,
  signal: AbortSignal,
): Promise<void> {
  // Nothing survives a reboot, and the same numbers mean others now.
  if (identity !== undefined && identity.bootId !== readBootId()) return;
  const killFrom = performance.now() + graceMs;
  const warned = new Set<string>();
  for (let members = findMembers(identity, marker); members.length > 0; members = findMembers(identity, marker)) {
    const patient = performance.now() < killFrom;
    for (const { pid, startTicks } of members) {
      const name = `${pid}:${startTicks}`;
      if (!patient) sendSignal(pid, "SIGKILL");
      else if (!warned.has(name)) sendSignal(pid, "SIGTERM");
      warned.add(name);
    }
    if (signal.aborted) throw createAbortError(signal, `Waiting for the processes of task ${marker} was stopped`);
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

function findMembers(identity: ProcessIdentity | undefined, marker: string): readonly ProcessState[] {
  const leader = identity === undefined ? undefined : readState(identity.pid);
  // A leader that is dead but not yet reaped still vouches for its group.
  const groupId = leader !== undefined && leader.startTicks === identity?.startTicks ? leader.pid : undefined;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => readState(Number(name)))
    .filter((state): state is ProcessState => state !== undefined && !state.dead)
    .filter((state) => state.pid === groupId || state.groupId === groupId || hasMarker(state.pid, marker));
}

function hasMarker(pid: number, marker: string): boolean {
  return readProc(`/proc/${pid}/environ`)?.split("\0").includes(`HOLDFAST_TASK=${marker}`) ?? false;
}

function readState(pid: number): ProcessState | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself have spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { pid, groupId: Number(fields[2]), startTicks: Number(fields[19]), dead: fields[0] === "Z" || fields[0] === "X" };
}

/** Undefined when the process is gone, or is not ours to read. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(readErrno(error) ?? "")) return undefined;
    throw error;
  }
}

function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

function sendSignal(pid: number, signalName: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, signalName);
  } catch (error) {
    if (readErrno(error) !== "ESRCH") throw error;
  }
}
