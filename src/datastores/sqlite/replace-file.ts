import { randomBytes } from "node:crypto";
import { link, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import { findCompanions, findFile, type FoundFile } from "./database-files.ts";
import { findUsers } from "./find-users.ts";

type Record = (step: SwapStep) => Promise<void>;

/** A hidden name beside the target: same file system, and recognisable as ours. */
export function createNameBeside(target: string, purpose: "restore" | "aside"): string {
  const infix = purpose === "restore" ? "holdfast" : "holdfast-aside";
  return join(dirname(target), `.${basename(target)}.${infix}-${randomBytes(6).toString("hex")}`);
}

/**
 * Moves a database that nobody has open aside with all that lies beside it. The companions go first: should the machine stop half-way and
 * the application start, it finds its database without them and destroys nothing; a WAL without its database it would delete.
 */
export async function moveAside(target: string, record: Record): Promise<void> {
  const aside = createNameBeside(target, "aside");
  const database = await findFile(target);
  const files = [...(await findCompanions(target)), ...(database === undefined ? [] : [database])];
  for (const file of files) {
    const to = aside + file.path.slice(target.length);
    await record({ op: "move", from: file.path, to, birth: file.birth, ino: file.ino });
    await rename(file.path, to).catch((error: unknown) => {
      throw explainRename(file.path, error);
    });
  }
  await syncDirectory(dirname(target));
  await refuseUsers(target, files);
}

/** A file that is itself mounted (as containers have single files) can be written to, but not replaced. */
function explainRename(path: string, error: unknown): unknown {
  if (readErrno(error) !== "EBUSY" && readErrno(error) !== "EXDEV") return error;
  return new HoldfastError("target-unsafe", `${path} is a mount point, so no other file can take its place`, {
    cause: error,
    hint: "Let the datastore name the file that is mounted there, or unmount it for the restore.",
  });
}

/** Gives the staged file the target's name; throws `target-in-use` when something has appeared there. */
export async function placeFile(staged: FoundFile, target: string, record: Record): Promise<void> {
  await record({ op: "place", from: staged.path, to: target, birth: staged.birth, ino: staged.ino });
  if ((await findCompanions(target)).length > 0) throw createAppearedError(target);
  await renameToFreeName(staged.path, target);
  await syncDirectory(dirname(target));
}

/** Unlike a plain rename, never replaces. */
export async function renameToFreeName(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const code = readErrno(error) ?? "";
    if (code === "EEXIST") throw createAppearedError(to);
    // File systems without hard links.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code)) throw error;
    if ((await findFile(to)) !== undefined) throw createAppearedError(to);
    await rename(from, to);
    return;
  }
  await unlink(from);
}

async function refuseUsers(target: string, files: readonly FoundFile[]): Promise<void> {
  const { pids } = await findUsers(files);
  if (pids.length > 0) throw createInUseError(target, pids);
}

export function createInUseError(target: string, pids: readonly number[]): HoldfastError {
  return new HoldfastError("target-in-use", `${target} is open in process ${pids.join(", ")}`, {
    hint: "Stop the application with a stop hook, or by hand.",
    details: { pids },
  });
}

function createAppearedError(target: string): HoldfastError {
  return new HoldfastError("target-in-use", `${target} was created by another program during the restore`, {
    hint: "Stop the application with a stop hook, or by hand.",
  });
}
