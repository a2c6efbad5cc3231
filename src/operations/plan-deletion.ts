import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { usesBackup } from "./payload.ts";
import { listPendingRemovals } from "./pending-removals.ts";

/** Why a backup should not be removed even on purpose; empty when nothing speaks against it. */
export function planDeletion(core: Core, backup: CatalogBackup): readonly string[] {
  const isPending = listPendingRemovals(core, ["delete", "retention"]);
  const isSame = ({ destination, id }: CatalogBackup): boolean => id === backup.id && destination === backup.destination;
  const verified = core.catalog.backups
    .find({ job: backup.job, class: "backup" })
    .filter((other) => other.status === "ok" && other.verifiedAtMs !== null && other.damaged === null && other.missingSinceMs === null)
    // What is about to go is no reason to let this one go too.
    .filter((other) => isSame(other) || !isPending(other));
  const believed = verified.filter(({ suspect, accepted }) => suspect.length === 0 || accepted !== null);
  const [last, ...others] = believed.length === 0 ? verified : believed;
  const lastOf = backup.members
    .filter(({ status }) => status === "ok")
    .map(({ datastore }) => datastore)
    .filter((name) => {
      const holding = believed.filter(({ members }) => members.some((each) => each.datastore === name && each.status === "ok"));
      return holding.length > 0 && holding.every(isSame);
    });
  const isLast = last !== undefined && others.length === 0 && isSame(last);
  return [
    ...(backup.pinned === null ? [] : [backup.pinned === "" ? "it is pinned" : `it is pinned: ${backup.pinned}`]),
    ...(core.queue.usesOf((payload) => usesBackup(payload, backup.id)).length > 0 ? ["it is in use"] : []),
    ...(isLast ? [`it is the last verified backup of job "${backup.job}"`] : []),
    ...(isLast || lastOf.length === 0 ? [] : [`it is the last verified backup with the data of ${lastOf.join(", ")}`]),
  ];
}
