import { link, readFile, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { hashBytes, type Descriptor, type Sealed } from "./descriptor.ts";
import { contentName, createRemovedName } from "./names.ts";
import { lookUp, type Place } from "./place.ts";

/*
 * How hidden things become visible, and back. Everything of a publication is in `<folder>/.holdfast-<id>/content`, durable, and listed
 * with sizes in the sealed descriptor before the first step.
 *   directory: `content` is renamed to `<folder>/<name>`: one step.
 *   beside: every object gets its visible name as a second link, the folder is synced, then the manifest gets its own, the folder is synced.
 *     A link never replaces what has the name already, and the same inode under both names tells ours from a stranger's.
 *     File systems without links get renames after a look; there "gone from content, visible with the right size" means ours.
 * The staging directory goes last and at once: it is renamed to a name that counts as removed, then deleted.
 */
export interface Staged {
  readonly place: Place;
  /** Absolute path of the folder that gets the backup. */
  readonly folder: string;
  /** Absolute path of the staging directory in it. */
  readonly staging: string;
  readonly descriptor: Descriptor & { readonly sealed: Sealed };
}

type Whereabouts = "hidden" | "both" | "visible" | "missing" | "taken";

/** Makes everything visible, from whatever point an earlier attempt got to; durable when it returns. Throws `conflict` for a taken name. */
export async function expose(staged: Staged): Promise<void> {
  const { folder, descriptor } = staged;
  if (descriptor.shape === "directory") {
    const hidden = join(staged.staging, contentName);
    const visible = join(folder, descriptor.name);
    if ((await lookUp(hidden)) !== undefined) {
      if ((await lookUp(visible)) !== undefined) throw createConflict(staged, descriptor.name);
      await rename(hidden, visible);
    }
    await syncDirectory(folder);
    return;
  }
  for (const object of descriptor.sealed.objects) await exposeFile(staged, object);
  await syncDirectory(folder);
  await exposeFile(staged, descriptor.sealed.manifest);
  await syncDirectory(folder);
}

async function exposeFile(staged: Staged, object: { readonly name: string; readonly bytes: number }): Promise<void> {
  const where = await locate(staged, object);
  if (where === "both" || where === "visible") return;
  if (where !== "hidden") throw createConflict(staged, object.name);
  const hidden = join(staged.staging, contentName, object.name);
  const visible = join(staged.folder, object.name);
  try {
    await link(hidden, visible);
  } catch (error) {
    const errno = readErrno(error) ?? "";
    if (errno === "EEXIST") throw createConflict(staged, object.name);
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(errno)) throw error;
    await rename(hidden, visible);
  }
}

async function locate(staged: Staged, object: { readonly name: string; readonly bytes: number }): Promise<Whereabouts> {
  const hidden = await lookUp(join(staged.staging, contentName, object.name));
  const visible = await lookUp(join(staged.folder, object.name));
  if (hidden !== undefined) {
    if (!hidden.isFile() || hidden.size !== object.bytes) return "missing";
    if (visible === undefined) return "hidden";
    return visible.ino === hidden.ino && visible.dev === hidden.dev ? "both" : "taken";
  }
  if (visible === undefined) return "missing";
  return visible.isFile() && visible.size === object.bytes ? "visible" : "taken";
}

/** Whether everything is there, so that `expose` can finish what was begun. */
export async function isExposable(staged: Staged): Promise<boolean> {
  const { sealed, shape, name } = staged.descriptor;
  if (shape === "beside") {
    for (const object of [...sealed.objects, sealed.manifest]) {
      const where = await locate(staged, object);
      if (where === "missing" || where === "taken") return false;
    }
    return (
      (await isManifest(staged, join(staged.staging, contentName, sealed.manifest.name))) ||
      (await isManifest(staged, join(staged.folder, sealed.manifest.name)))
    );
  }
  const hidden = join(staged.staging, contentName);
  const isHidden = (await lookUp(hidden)) !== undefined;
  if (isHidden && (await lookUp(join(staged.folder, name))) !== undefined) return false;
  const directory = isHidden ? hidden : join(staged.folder, name);
  for (const object of sealed.objects) {
    const found = await lookUp(join(directory, object.name));
    if (found === undefined || !found.isFile() || found.size !== object.bytes) return false;
  }
  return await isManifest(staged, join(directory, sealed.manifest.name));
}

/** Whether this publication's manifest is visible, so that what is visible with it must stay. */
export async function isPublished(staged: Staged): Promise<boolean> {
  const { sealed, shape, name } = staged.descriptor;
  return await isManifest(staged, join(staged.folder, ...(shape === "directory" ? [name] : []), sealed.manifest.name));
}

async function isManifest(staged: Staged, path: string): Promise<boolean> {
  const { bytes, sha256 } = staged.descriptor.sealed.manifest;
  const found = await lookUp(path);
  if (found === undefined || !found.isFile() || found.size !== bytes) return false;
  return hashBytes(await readFile(path)) === sha256;
}

/** Hides again what is visible of an unfinished publication, the manifest first; what is not ours stays. */
export async function retract(staged: Staged): Promise<void> {
  const { folder, staging, descriptor } = staged;
  if (descriptor.shape === "directory") {
    const hidden = join(staging, contentName);
    if ((await lookUp(hidden)) !== undefined || !(await isPublished(staged))) return;
    await rename(join(folder, descriptor.name), hidden);
    await syncDirectory(folder);
    return;
  }
  await retractFile(staged, descriptor.sealed.manifest);
  await syncDirectory(folder);
  for (const object of descriptor.sealed.objects) await retractFile(staged, object);
  await syncDirectory(folder);
}

async function retractFile(staged: Staged, object: { readonly name: string; readonly bytes: number }): Promise<void> {
  const where = await locate(staged, object);
  if (where === "both" || where === "visible") await unlink(join(staged.folder, object.name));
}

/** Removes a directory so that a crash at any point leaves all of it or nothing under its name. Durable when it returns. */
export async function discard(path: string): Promise<void> {
  const removed = join(dirname(path), createRemovedName());
  try {
    await rename(path, removed);
  } catch (error) {
    if (readErrno(error) !== "ENOENT") throw error;
    return;
  }
  await syncDirectory(dirname(path));
  await rm(removed, { recursive: true, force: true });
}

function createConflict(staged: Staged, name: string): HoldfastError {
  return new HoldfastError("conflict", `There is a ${name} in ${staged.folder} already; nothing is overwritten`);
}
