import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import { HoldfastError } from "../base/errors.ts";
import { identifyProcess, isAlive } from "../base/process-group.ts";
import { flockDescriptors } from "./flock-descriptors.ts";
import { type PlannedLock, planLocks } from "./plan-locks.ts";

const holderSchema = z.object({ holder: z.string(), process: z.object({ pid: z.number(), startTicks: z.number(), bootId: z.string() }) });

export interface LockOptions {
  /** Where the lock files are, `/run/holdfast/locks`; made when it is not there. */
  readonly directory: string;
  readonly keys: readonly ConcurrencyKey[];
  /** Who holds them, for whoever finds them taken: `backup 01h… of job nightly`. Never secrets. */
  readonly holder: string;
}

/**
 * Locks that are held. They end when the last descriptor of them is closed, here and in every process that inherited it, so a lock
 * lives exactly as long as the longest-lived of these, and the kernel frees it however they end.
 */
export interface HeldLocks extends Disposable {
  /** To be passed in a worker's `stdio`, so that the worker holds the locks too. Other children do not inherit them. */
  readonly fds: readonly number[];
}

/**
 * Takes the locks of all keys, or none, without waiting.
 *
 * Outside programs take the same lock: the file's name is the SHA-256 of the key id, or of `path:` and the absolute resolved path, e.g.
 * `flock -n "/run/holdfast/locks/$(printf %s path:/srv/app.db | sha256sum | cut -c1-64)" deploy.sh`. An exclusive lock on a path keeps
 * Holdfast from that file or whole directory. Files are 0640 in a directory of 0750 with the directory's group: whoever may open them
 * can hold up backups, so that is root and the members of that group, not everybody. Lock files are never removed.
 * @throws busy naming the key, and the holder where it is known; cancelled
 */
export async function acquireLocks(options: LockOptions, signal: AbortSignal): Promise<HeldLocks> {
  mkdirSync(options.directory, { recursive: true, mode: 0o750 });
  const plan = planLocks(options.keys);
  using opened = new DisposableStack();
  const fds = plan.map(({ fileName }) => opened.adopt(openLockFile(options.directory, fileName), closeSync));
  const taken =
    fds.length === 0
      ? undefined
      : await flockDescriptors(
          plan.map(({ mode }, place) => ({ descriptor: fds[place] ?? -1, mode })),
          signal,
        );
  const blocked = taken === undefined ? undefined : plan[taken];
  if (blocked !== undefined) throw createBusyError(options.directory, blocked);
  for (const fd of fds) writeHolder(fd, options.holder);
  opened.move();
  const open = [...fds];
  return {
    fds,
    [Symbol.dispose]() {
      for (const fd of open.splice(0)) releaseLockFile(fd);
    },
  };
}

/** A lock file by its name, made when it is not there; the caller closes it. */
export function openLockFile(directory: string, fileName: string): number {
  const fd = openSync(join(directory, fileName), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o640);
  const { mode, uid, gid } = fstatSync(fd);
  const group = statSync(directory).gid;
  if (uid === process.geteuid?.()) {
    if ((mode & 0o777) !== 0o640) fchmodSync(fd, 0o640);
    if (gid !== group && uid === 0) fchownSync(fd, uid, group);
  }
  return fd;
}

/** Best effort: several holders of a shared lock overwrite one another. */
export function writeHolder(fd: number, holder: string): void {
  ftruncateSync(fd);
  writeSync(fd, `${JSON.stringify({ holder, process: identifyProcess(process.pid) })}\n`, 0);
}

/** Who holds a lock file, as far as is known: `backup 01h… of job nightly (pid 4711)`. */
export function describeHolder(path: string): string {
  const { data } = holderSchema.safeParse(readJson(path));
  if (data === undefined) return "another program";
  const { pid } = data.process;
  return isAlive(data.process) ? `${data.holder} (pid ${pid})` : `what is left of ${data.holder} (its pid ${pid} has ended)`;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Nobody is named any more by a file that anybody may lock next. */
function releaseLockFile(fd: number): void {
  ftruncateSync(fd);
  closeSync(fd);
}

function createBusyError(directory: string, { fileName, keyId }: PlannedLock): HoldfastError {
  const path = join(directory, fileName);
  return new HoldfastError("busy", `Cannot lock ${keyId}: ${describeHolder(path)} holds it`, {
    hint: `Try again when it has ended; \`lsof ${path}\` shows who has it open.`,
    details: { key: keyId, lockFile: fileName },
  });
}
