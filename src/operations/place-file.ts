import { constants, type Stats } from "node:fs";
import { lstat, open, readlink, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeBody } from "../base/block-writer.ts";
import { describeCause, HoldfastError, readErrno, type ErrorCode } from "../base/errors.ts";
import { findOwner, type Owner } from "../base/find-owner.ts";
import { createAbortError } from "../base/subprocess.ts";
import { describeOccupant, findOccupant, type Occupied } from "../config/occupied-places.ts";
import { isSameFile, resolveReal } from "./check/local-places.ts";

export interface PlacedFile {
  /** Absolute. */
  readonly path: string;
  /** `user:group`; by default that of the file that is replaced, else that of the directory. */
  readonly owner?: string;
  readonly mode: number;
  /** What must not be replaced under any name. */
  readonly occupied?: readonly Occupied[];
}

const codes: Readonly<Record<string, ErrorCode>> = { ENOSPC: "no-space", EDQUOT: "no-space", EFBIG: "no-space", EIO: "disk-failed" };

/**
 * Replaces the file at a path: all of it or nothing, durable when it returns, with its owner and mode from the first moment. Nobody who may
 * write to the directory can lead it elsewhere: the directory stays the one that was opened, and neither it nor the file may be a link.
 * @throws target-unsafe, target-in-use, no-space, config-invalid
 */
export async function placeFile(
  file: PlacedFile,
  body: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await using place = await openPlace(file);
    const owner = file.owner === undefined ? place.owner : await findOwner(file.owner);
    // One name for all runs: what a killed one has left is removed by the next.
    const temporary = place.resolve(`.${basename(file.path)}.holdfast`);
    await rm(temporary, { force: true });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    try {
      await using handle = await open(temporary, flags, 0o600);
      await writeBody(handle, body(signal));
      if (signal.aborted) throw createAbortError(signal, "The copy was stopped");
      await handle.chown(owner.uid, owner.gid);
      await handle.chmod(file.mode);
      await handle.sync();
      // It may have changed meanwhile.
      await place.inspect();
      await rename(temporary, place.resolve(basename(file.path)));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await place.directory.sync();
  } catch (error) {
    throw explainFault(error, file.path);
  }
}

/** Looks whether the file could be replaced, without writing anything. Throws as placeFile does. */
export async function inspectPlace(file: PlacedFile): Promise<void> {
  const { path, owner } = file;
  try {
    await using _place = await openPlace(file);
    if (owner !== undefined) await findOwner(owner);
  } catch (error) {
    throw explainFault(error, path);
  }
}

interface Place extends AsyncDisposable {
  readonly directory: FileHandle;
  readonly owner: Owner;
  /** A name in the directory, whatever becomes of the directory's own name. */
  resolve(name: string): string;
  /** What is there now; undefined when nothing is. @throws target-unsafe, target-in-use when it must not be replaced */
  inspect(): Promise<Stats | undefined>;
}

async function openPlace({ path, occupied = [] }: PlacedFile): Promise<Place> {
  const directory = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const resolve = (name: string): string => `/proc/self/fd/${directory.fd}/${name}`;
    const inspect = async (): Promise<Stats | undefined> => {
      // Where it is in truth, whatever links led there.
      assertFree(path, join(await readlink(`/proc/self/fd/${directory.fd}`), basename(path)), occupied);
      return await inspectFile(resolve(basename(path)), path);
    };
    const present = await inspect();
    const { uid, gid } = present ?? (await directory.stat());
    return { directory, owner: { uid, gid }, resolve, inspect, [Symbol.asyncDispose]: () => directory.close() };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

function assertFree(path: string, real: string, occupied: readonly Occupied[]): void {
  const occupant = findOccupant(real, occupied, { resolve: resolveReal, isSame: isSameFile });
  if (occupant === undefined) return;
  throw new HoldfastError("target-unsafe", describeOccupant(path === real ? path : `${path} (${real})`, occupant), {
    hint: "Give the copy a place of its own, outside of what is backed up and of the destinations.",
  });
}

async function inspectFile(resolved: string, path: string): Promise<Stats | undefined> {
  const present = await lookAt(resolved);
  if (present !== undefined && !present.isFile()) {
    throw new HoldfastError("target-unsafe", `${path} is ${present.isSymbolicLink() ? "a link" : "no file"}, and is not replaced`, {
      hint: "Remove it, or name the place where the file itself is to be.",
    });
  }
  // A new database beside the write-ahead log of the old one would be read as a mixture of both (F32).
  for (const ending of ["-wal", "-journal"]) {
    if (((await lookAt(resolved + ending))?.size ?? 0) === 0) continue;
    throw new HoldfastError("target-in-use", `${path + ending} is there: a program writes to the copy`, {
      hint: "Let the application open the copy for reading only, or work with a copy of its own.",
    });
  }
  return present;
}

async function lookAt(path: string): Promise<Stats | undefined> {
  return await lstat(path).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT") return undefined;
    throw error;
  });
}

function explainFault(error: unknown, path: string): unknown {
  const errno = readErrno(error);
  if (error instanceof HoldfastError || errno === undefined) return error;
  const directory = dirname(path);
  if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP") {
    const what = errno === "ENOENT" ? "is not there" : "is no directory, or a link";
    const hint = errno === "ENOENT" ? `Make it: mkdir -p ${directory}` : "Name the real directory.";
    return new HoldfastError("target-unsafe", `the directory ${directory} ${what}`, { hint, cause: error });
  }
  if (errno === "EACCES" || errno === "EPERM" || errno === "EROFS") {
    const hint = "`holdfast check --verbose` prints the drop-in with the paths that the service must be able to write to.";
    return new HoldfastError("target-unsafe", `${directory} cannot be written to (${errno})`, { hint, cause: error });
  }
  return new HoldfastError(codes[errno] ?? "target-unsafe", describeCause(error), { cause: error });
}
