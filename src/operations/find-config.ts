import { createHash } from "node:crypto";
import { isAbsolute } from "node:path";
import { findClosest } from "../base/closest-name.ts";
import { HoldfastError } from "../base/errors.ts";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import type { Check, Config, DatastoreConfig, DestinationConfig, JobConfig } from "../config/config.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { QueriedDatastore } from "./run-check.ts";
import type { DestinationSetup } from "./setup.ts";

function findNamed<Value>(what: string, name: string, values: ReadonlyMap<string, Value>): Value {
  const found = values.get(name);
  if (found !== undefined) return found;
  const closest = findClosest(name, values.keys());
  const known = values.size === 0 ? `There is no ${what} in the config.` : `Known: ${[...values.keys()].join(", ")}.`;
  throw new HoldfastError("unknown-name", `There is no ${what} "${name}"`, {
    hint: closest === undefined ? known : `Did you mean "${closest}"? ${known}`,
  });
}

export function findJob(config: Config, name: string): JobConfig {
  return findNamed("job", name, config.jobs);
}

export function findDatastore(config: Config, name: string): DatastoreConfig {
  return findNamed("datastore", name, config.datastores);
}

export function findDestination(config: Config, name: string): DestinationConfig {
  return findNamed("destination", name, config.destinations);
}

/**
 * For a name that a question is about. What has left the config may have left something behind, which `isKnown` tells; a name that nothing is
 * known of is no name.
 * @throws unknown-name
 */
export function assertNamed(
  config: Config,
  { job, destination }: { readonly job?: string | undefined; readonly destination?: string | undefined },
  isKnown: (of: { readonly job: string } | { readonly destination: string }) => boolean,
): void {
  if (job !== undefined && !isKnown({ job })) findJob(config, job);
  if (destination !== undefined && !isKnown({ destination })) findDestination(config, destination);
}

/** Whether a destination is a directory that the config does not know, named by its path: its backups are not in the catalog. */
export function isPlace(destination: string): boolean {
  return isAbsolute(destination);
}

/** A directory that the config does not know, as a destination. */
export function describePlace(path: string): DestinationSetup {
  return { name: path, kind: "local", options: { path } };
}

export function describeDestination(config: Config, name: string): DestinationSetup {
  if (isPlace(name)) return describePlace(name);
  const { kind, options } = findDestination(config, name);
  return { name, kind, options };
}

/** The datastores that checks ask something of; the config's own check sees to it that they are there. */
export function listQueried({ datastores }: Pick<Config, "datastores">, checks: readonly Check[]): readonly QueriedDatastore[] {
  const names = new Set(checks.flatMap((check) => (check.kind === "sql" ? [check.datastore] : [])));
  return [...names].flatMap((name) => {
    const found = datastores.get(name);
    return found === undefined ? [] : [{ name, kind: found.kind, options: found.options }];
  });
}

/** The concurrency keys of datastores. One that has left the config has none. */
export async function identifyDatastores(
  config: Config,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly ConcurrencyKey[]> {
  const keys: ConcurrencyKey[] = [];
  for (const name of names) {
    const datastore = config.datastores.get(name);
    if (datastore !== undefined) keys.push(await findDatastoreDriver(datastore.kind).configure(datastore.options).identify(signal));
  }
  return keys;
}

/** Those of the servers that datastores belong to: whoever copies one must not start it while another replaces what else it has. */
export function identifyServices({ datastores }: Pick<Config, "datastores">, names: readonly string[]): readonly ConcurrencyKey[] {
  const keys = names.flatMap((name) => datastores.get(name)?.service?.key ?? []);
  // What is run may hold what was a secret elsewhere.
  return [...new Set(keys)].map((key) => ({ id: `service:${createHash("sha256").update(key).digest("hex").slice(0, 16)}`, paths: [] }));
}

/** Held by whoever uses a backup and by whoever removes it. */
export function createBackupKey(destination: string, backupId: string): ConcurrencyKey {
  return { id: `backup:${destination}/${backupId}`, paths: [] };
}

/** One removal at a time at each destination. */
export function createRemovalKey(destination: string): ConcurrencyKey {
  return { id: `removals:${destination}`, paths: [] };
}
