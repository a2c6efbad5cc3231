import type { ManifestMember } from "../archive/manifest.ts";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import { HoldfastError } from "../base/errors.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { RestoreRecord } from "./restore-journal.ts";

/** The key of each target, by its name; of what cannot be told there is none. */
export async function identifyMembers(
  members: readonly Pick<ManifestMember, "datastore" | "kind" | "entries">[],
  findOptions: (datastore: string) => unknown,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ConcurrencyKey>> {
  const keys = new Map<string, ConcurrencyKey>();
  for (const { datastore, kind, entries } of members) {
    const driver = findDatastoreDriver(kind);
    const key = await identify(kind, findOptions(datastore) ?? driver.deriveOptions(entries), signal);
    if (key !== undefined) keys.set(datastore, key);
  }
  return keys;
}

/**
 * The config may have been changed since the restore began: on another server its steps would find nothing to undo, and say that all is as
 * it was; or undo what they have not done.
 * @throws restore-stuck
 */
export async function assertSameServer(
  records: readonly RestoreRecord[],
  { datastore, kind }: { readonly datastore: string; readonly kind: string },
  options: unknown,
  signal: AbortSignal,
): Promise<void> {
  const begin = records.find((record) => record.type === "begin");
  const began = begin?.keys?.[datastore];
  if (began === undefined || options === undefined) return;
  const present = await identify(kind, options, signal);
  if (present === undefined || !findDatastoreDriver(kind).isOtherServer(began, present.id)) return;
  throw new HoldfastError("restore-stuck", `the config means another server by "${datastore}" now than the restore had begun on`, {
    hint: `Let "${datastore}" mean the former server until the restore has ended (then \`holdfast reload\`); the new server gets a datastore of its own. Where the former one is gone for good, move restores/${begin?.id}.restore.jsonl in the state directory away.`,
  });
}

async function identify(kind: string, options: unknown, signal: AbortSignal): Promise<ConcurrencyKey | undefined> {
  try {
    return await findDatastoreDriver(kind).configure(options).identify(signal);
  } catch {
    signal.throwIfAborted();
    return undefined; // whoever needs it tells what is wrong
  }
}
