import { describeBytes } from "../base/describe-amount.ts";
import type { DatastoreSetup } from "./setup.ts";

/**
 * Why a backup is suspect: each datastore that shrank below its rule, with figures. No history, no suspicion.
 * @param bytes plain bytes of each datastore in this backup
 */
export function detectShrink(
  datastores: readonly DatastoreSetup[],
  bytes: ReadonlyMap<string, number>,
  sizes: Readonly<Record<string, readonly number[]>>,
): readonly string[] {
  return datastores.flatMap(({ name, shrink }) => {
    const history = sizes[name] ?? [];
    const now = bytes.get(name);
    if (shrink === "off" || now === undefined || history.length < Math.max(1, shrink.minHistory)) return [];
    const median = findMedian(history);
    if (now >= median * shrink.ratio) return [];
    return [`${name} has ${describeBytes(now)}; the last ${history.length} backups had ${describeBytes(median)} in the middle`];
  });
}

function findMedian(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
