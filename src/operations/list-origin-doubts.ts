import type { Manifest } from "../archive/manifest.ts";
import type { ConcurrencyKey } from "../base/concurrency-key.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { TargetFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { ChosenTarget } from "./choose-restore-targets.ts";

/**
 * Why a backup may not belong where it is about to go back to: it was made on another machine, or of another server. What goes elsewhere on
 * purpose has been told where. It matters where something is replaced. A pre-restore backup is of this machine, whatever it is called now.
 */
export function listOriginDoubts(
  host: string,
  backup: Pick<CatalogBackup, "host" | "class">,
  { members }: Pick<Manifest, "members">,
  targets: readonly (ChosenTarget & { readonly key: ConcurrencyKey })[],
): readonly string[] {
  if (backup.class === "pre-restore") return [];
  const back = targets.filter(({ member, datastore, database }) => database === undefined && datastore === member.datastore);
  const others = back.filter(({ member, key }) => {
    const id = members.find(({ datastore }) => datastore === member.datastore)?.id;
    return id !== undefined && findDatastoreDriver(member.kind).isOtherServer(id, key.id);
  });
  return [
    ...(back.length > 0 && backup.host !== undefined && backup.host !== host
      ? [`of another machine: made on ${backup.host}, and this is ${host}`]
      : []),
    ...others.map(({ datastore }) => `of another server: not of the one that ${datastore} means now`),
  ];
}

/** With the key of each; the server is asked. */
export async function identifyTargets<Target extends ChosenTarget>(
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<readonly (Target & { readonly key: ConcurrencyKey })[]> {
  const known: (Target & { readonly key: ConcurrencyKey })[] = [];
  for (const target of targets) {
    const key = await findDatastoreDriver(target.member.kind).configure(target.options).identify(signal);
    known.push({ ...target, key });
  }
  return known;
}

/** Whether something would be replaced by it; what cannot be told counts as there. */
export function isAnythingThere(facts: Pick<TargetFacts, "present" | "holds"> | null | undefined): boolean {
  return facts?.present !== false && facts?.holds !== "nothing";
}
