import type { ManifestMember } from "../archive/manifest.ts";
import { formatInstant } from "../base/clock.ts";
import { describeCounts, type CountDifference } from "../base/describe-contents.ts";
import type { TargetFacts } from "../datastores/contract.ts";
import type { InspectedTarget } from "./inspect-targets.ts";
import type { PlannedDatastore } from "./planned-datastore.ts";

/** What a driver has found, for a plan. */
export function describeNow(facts: TargetFacts, counts: InspectedTarget["counts"]): NonNullable<PlannedDatastore["now"]> {
  const { summary, present, bytes, newestChangeAtMs, changes } = facts;
  return {
    summary,
    present,
    bytes,
    newestChangeAt: newestChangeAtMs === undefined ? null : formatInstant(newestChangeAtMs),
    changes: changes ?? null,
    contents: counts === null ? null : (describeCounts(counts) ?? null),
  };
}

/** What the backup does not have and is there now: tables that are newer than it. */
export function listVanishing(
  { datastore, kind }: Pick<PlannedDatastore, "datastore" | "kind">,
  differences: readonly CountDifference[],
): readonly string[] {
  const gone = differences.filter(({ coming, what }) => coming === null && what === "rows");
  if (gone.length === 0) return [];
  const names = gone.slice(0, 10).map(({ name, now }) => `${name} (${now ?? 0} row${now === 1 ? "" : "s"})`);
  const more = gone.length > names.length ? ` and ${gone.length - names.length} more` : "";
  return [
    `${datastore}: the backup does not have ${kind === "sqlite" ? "the table" : "table"}${gone.length === 1 ? "" : "s"} ${names.join(", ")}${more}, which will be gone`,
  ];
}

export function listLosses(member: ManifestMember): readonly string[] {
  const { datastore, status, notes } = member;
  return [
    ...(status === "absent" ? [`${datastore} was not there at that time: what is there now is put aside`] : []),
    ...(status === "failed" ? [`${datastore} is not in this backup and stays as it is now`] : []),
    ...notes.filter(({ level }) => level !== "info").map(({ message }) => `${datastore}: ${message}`),
  ];
}
