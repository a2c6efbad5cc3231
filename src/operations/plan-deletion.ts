import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { describeDeletion, type DeletionPlan } from "./describe-deletion.ts";
import { usesBackup } from "./payload.ts";
import { listPendingRemovals } from "./pending-removals.ts";

/** What speaks against the removal of a backup, even on purpose. */
export function planDeletion(core: Core, backup: CatalogBackup): DeletionPlan {
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
  const newer = "make a newer verified backup first";
  return describeDeletion([
    ...(backup.pinned === null
      ? []
      : [{ refusal: backup.pinned === "" ? "it is pinned" : `it is pinned: ${backup.pinned}`, remedy: "unpin it" }]),
    ...(core.queue.usesOf((payload) => usesBackup(payload, backup.id)).length > 0
      ? [{ refusal: "it is in use", remedy: "wait until it is not used any more" }]
      : []),
    ...(isLast ? [{ refusal: `it is the last verified backup of job "${backup.job}"`, remedy: newer }] : []),
    ...(isLast || lastOf.length === 0
      ? []
      : [{ refusal: `it is the last verified backup with the data of ${lastOf.join(", ")}`, remedy: newer }]),
  ]);
}
