import { HoldfastError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import { identifyDatastores } from "./find-config.ts";
import { findUnfinishedRestores, type FoundJournals, type RestoreRecord } from "./restore-journal.ts";

/** A datastore by its name, and by the id of its concurrency key where that is known: a restore may have begun on it under another name. */
export interface SoughtDatastore {
  readonly name: string;
  readonly key: string | undefined;
}

type Begin = Extract<RestoreRecord, { type: "begin" }>;

/** The id of a restore that is still to be rolled back, and has to do with one of the datastores; of a journal that cannot be read, its own. */
export function findBlocking({ unfinished, unreadable }: FoundJournals, sought: readonly SoughtDatastore[]): string | undefined {
  if (unreadable[0] !== undefined) return unreadable[0].id;
  return unfinished.find(({ records }) => {
    const begin = records.find((record): record is Begin => record.type === "begin");
    return begin !== undefined && !records.some(({ type }) => type === "rolled-back") && isAbout(begin, sought);
  })?.id;
}

function isAbout({ datastores, keys = {} }: Begin, sought: readonly SoughtDatastore[]): boolean {
  const ids = new Set(Object.values(keys));
  return sought.some(({ name, key }) => datastores.includes(name) || (key !== undefined && ids.has(key)));
}

/** Half a restore must not become what the next one saves, or puts back. @throws restore-stuck */
export async function assertNoneUnfinished(directory: string, sought: readonly SoughtDatastore[]): Promise<void> {
  const stuck = findBlocking(await findUnfinishedRestores(directory), sought);
  if (stuck === undefined) return;
  throw new HoldfastError("restore-stuck", `The restore ${stuck} was neither finished nor rolled back; no other can begin`, {
    hint: "`holdfast status` says what is in the way; Holdfast tries again by itself, and at once with `holdfast reload`. One that was made with --offline is ended by the next restore with --offline.",
    details: { blockedBy: stuck },
  });
}

/**
 * Why what is in a datastore may be half restored, of those that it may be of: a backup of it is made, and is not believed. To be asked when
 * no restore of them can be running.
 */
export async function findHalfRestored(
  config: Config,
  journalDirs: readonly string[],
  names: readonly string[],
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const journals = await Promise.all(journalDirs.map(findUnfinishedRestores));
  const found: Record<string, string> = {};
  for (const each of journals) {
    // What is committed is all there, and only to be tidied up.
    const open = { ...each, unfinished: each.unfinished.filter(({ records }) => !records.some(({ type }) => type === "committed")) };
    if (open.unfinished.length + open.unreadable.length === 0) continue;
    for (const name of names) {
      const id = findBlocking(open, [{ name, key: await findKey(config, name, signal) }]);
      if (id !== undefined) found[name] = `${name} may be half restored: the restore ${id} was neither finished nor rolled back`;
    }
  }
  return found;
}

async function findKey(config: Config, name: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await identifyDatastores(config, [name], signal))[0]?.id;
  } catch {
    signal.throwIfAborted();
    return undefined; // the backup itself tells what is wrong
  }
}
