import { readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, normalize, resolve } from "node:path";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { readErrno } from "../../base/errors.ts";

/**
 * One physical database, one key: every name of the file (symbolic and hard links) gives the same device and inode. A database that is
 * not there is known by its directory and name. Other names of a hard-linked file are not in `paths`: nobody can list them.
 */
export async function identifyDatabase(path: string): Promise<ConcurrencyKey> {
  const real = await resolvePath(path);
  try {
    const { dev, ino } = await stat(real, { bigint: true });
    return { id: `sqlite:${dev}:${ino}`, paths: [real] };
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
  const parent = await stat(dirname(real), { bigint: true }).catch(() => undefined);
  const place = parent === undefined ? dirname(real) : `${parent.dev}:${parent.ino}`;
  return { id: `sqlite:absent:${place}:${basename(real)}`, paths: [real] };
}

const maxLinks = 40;

/** The path without symbolic links, as far as it exists; a dangling link leads to where it points. */
export async function resolvePath(path: string, depth = 0): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isAbsence(error)) throw error;
    const parent = dirname(path);
    if (parent === path || depth > maxLinks) return normalize(path);
    const link = await readlink(path).catch(() => undefined);
    if (link !== undefined) return resolvePath(isAbsolute(link) ? link : resolve(await resolvePath(parent, depth + 1), link), depth + 1);
    return join(await resolvePath(parent, depth + 1), basename(path));
  }
}

function isAbsence(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(readErrno(error) ?? "");
}
