import { createHash } from "node:crypto";
import { Secret } from "../base/secret.ts";
import { maskDatastore, maskJob, pickDeclared } from "./declared-config.ts";
import type { Config, ConfigParts } from "./config.ts";

/** Plain JSON of anything in a Config: Maps as objects, keys sorted, secrets as `***`. */
export function createPlainCopy(value: unknown): unknown {
  if (value instanceof Secret) return value.toJSON();
  if (value instanceof Map) return createPlainCopy(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map(createPlainCopy);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(
    entries.toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([key, each]) => [key, createPlainCopy(each)]),
  );
}

/** SHA-256 of what the configuration means: neither comments nor the order of keys nor secrets change it. */
export function createFingerprint(parts: ConfigParts): string {
  return createHash("sha256")
    .update(JSON.stringify(createPlainCopy(parts)))
    .digest("hex");
}

/**
 * What goes into a manifest: a job with its datastores and destinations, without secrets, as JSON. Undefined for an unknown job.
 * @param others datastores that are in the backup besides those of the job
 */
export function createConfigCopy(
  config: Config,
  jobName: string,
  others: readonly string[] = [],
): Readonly<Record<string, unknown>> | undefined {
  const job = config.jobs.get(jobName);
  if (job === undefined) return undefined;
  const pick = <T>(from: ReadonlyMap<string, T>, names: readonly string[]): unknown =>
    Object.fromEntries(names.flatMap((name) => (from.has(name) ? [[name, from.get(name)]] : [])));
  return createPlainCopy({
    fingerprint: config.fingerprint,
    job: maskJob(job, config, config.declared),
    datastores: Object.fromEntries(
      [...new Set([...job.datastores, ...others])].flatMap((name) => {
        const found = config.datastores.get(name);
        return found === undefined ? [] : [[name, maskDatastore(found, config, config.declared)]];
      }),
    ),
    destinations: pick(config.destinations, [job.destination, ...job.copies]),
    declared: pickDeclared(config.declared, job),
  }) as Readonly<Record<string, unknown>>;
}
