import type { ManifestMember } from "../archive/manifest.ts";
import { countItems } from "../base/contents.ts";
import { describeBytes } from "../base/describe-amount.ts";
import type { BackupHistory, DatastoreSetup } from "./setup.ts";

/** Of fewer rows or keys a few are a large share. */
const fewItems = 20;

/**
 * Why a backup is suspect: each datastore that may be half restored, or that shrank below its rule, with figures. No history, no suspicion. What is deleted need not make
 * a database smaller, so its rows or keys are compared as well.
 * @param found what is in this backup; a datastore that was left out has not shrunk
 */
export function detectShrink(
  datastores: readonly DatastoreSetup[],
  found: readonly { readonly member: Pick<ManifestMember, "datastore" | "status" | "contents">; readonly bytes: number }[],
  { sizes, items, halfRestored = {} }: Pick<BackupHistory, "sizes" | "items" | "halfRestored">,
): readonly string[] {
  return datastores.flatMap(({ name, shrink }) => {
    const now = found.find(({ member }) => member.datastore === name);
    const doubt = halfRestored[name];
    if (doubt !== undefined && now !== undefined && now.member.status !== "failed") return [doubt];
    if (shrink === "off" || now === undefined || now.member.status === "failed") return [];
    const least = Math.max(1, shrink.minHistory);
    const compare = (
      figure: number | undefined,
      history: readonly number[] = [],
      describe: (figure: number) => string,
      few = 0,
    ): string[] => {
      if (figure === undefined || history.length < least) return [];
      const median = findMedian(history);
      if (median < few || figure >= median * shrink.ratio) return [];
      return [`${name} has ${describe(figure)}; the last ${history.length} backups had ${describe(median)} in the middle`];
    };
    const count = countItems(now.member.contents);
    // Whatever the rule: with nothing in it, one backup before is history enough.
    if ((count ?? 0) === 0 && now.member.status !== "absent" && (items?.[name] ?? []).some((each) => each > 0))
      return [`${name} is empty: no rows or keys, and there were some before`];
    const smaller = compare(now.bytes, sizes[name], describeBytes);
    return smaller.length > 0 ? smaller : compare(count, items?.[name], describeItems, fewItems);
  });
}

const describeItems = (count: number): string => `${count} rows or keys`;

function findMedian(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
