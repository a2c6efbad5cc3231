import type { Stats } from "node:fs";
import { opendir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { readErrno } from "../../base/errors.ts";
import type { ObjectFacts } from "../contract.ts";
import { assertNotAborted } from "../interrupt.ts";
import { isHidden } from "./names.ts";
import { lookUp, type Place } from "./place.ts";

export interface VisibleEntry {
  readonly key: string;
  readonly stats: Stats;
}

/**
 * Everything visible below a folder, folders before what is in them; links are not followed. What vanishes meanwhile is passed over,
 * any other error is thrown. A folder that is not there has nothing in it.
 */
export async function* walkVisible(place: Place, folder: string, signal: AbortSignal): AsyncGenerator<VisibleEntry, void, undefined> {
  await place.requireRoot();
  if (folder !== "" && (await place.attempt(`list ${folder}`, () => lookUp(place.pathOf(folder))))?.isDirectory() !== true) return;
  const waiting = [folder];
  for (let current = waiting.pop(); current !== undefined; current = waiting.pop()) {
    assertNotAborted(signal);
    for await (const entry of readFolder(place, current)) {
      assertNotAborted(signal);
      if (entry.stats.isDirectory()) waiting.push(entry.key);
      yield entry;
    }
  }
}

async function* readFolder(place: Place, folder: string): AsyncGenerator<VisibleEntry, void, undefined> {
  const path = place.pathOf(folder);
  const doing = `list ${folder === "" ? "the destination" : folder}`;
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (readErrno(error) === "ENOENT") {
      await place.requireRoot();
      return;
    }
    throw await place.classify(doing, error);
  }
  for (const name of names) {
    if (isHidden(name)) continue;
    const stats = await place.attempt(doing, () => lookUp(join(path, name)));
    if (stats !== undefined) yield { key: folder === "" ? name : `${folder}/${name}`, stats };
  }
}

export function describeObject(key: string, stats: Stats): ObjectFacts {
  return { key, bytes: stats.size, modifiedAtMs: Math.floor(stats.mtimeMs) };
}

/** Names in a directory, hidden ones too; none when it is not there. */
export async function listNames(path: string): Promise<readonly string[]> {
  const names: string[] = [];
  try {
    for await (const entry of await opendir(path)) names.push(entry.name);
  } catch (error) {
    if (readErrno(error) !== "ENOENT" && readErrno(error) !== "ENOTDIR") throw error;
  }
  return names;
}
