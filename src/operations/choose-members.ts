import { HoldfastError } from "../base/errors.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";

interface Held {
  readonly datastore: string;
  readonly kind: string;
  readonly status: "ok" | "partial" | "absent" | "failed";
}

/**
 * The members that a restore takes: the ones that were asked for, or all that the backup has (W5).
 * @throws unknown-name, backup-incomplete when one that was asked for was left out of the backup
 */
export function chooseMembers<Member extends Held>(
  { name, members }: { readonly name: string; readonly members: readonly Member[] },
  wanted: readonly string[] | undefined,
): readonly Member[] {
  const has = members.filter(({ status }) => status !== "failed");
  if (wanted === undefined) return has;
  const stranger = wanted.find((each) => !members.some(({ datastore }) => datastore === each));
  if (stranger !== undefined)
    throw new HoldfastError("unknown-name", `The backup ${name} has no datastore "${stranger}"`, {
      hint: `It has: ${has.map(({ datastore }) => datastore).join(", ")}.`,
    });
  const lost = wanted.find((each) => !has.some(({ datastore }) => datastore === each));
  if (lost === undefined) return members.filter(({ datastore }) => wanted.includes(datastore));
  throw new HoldfastError("backup-incomplete", `The backup ${name} does not hold "${lost}": it was left out`, {
    hint: "Restore the others alone with --only, or use another backup.",
  });
}

/** Refuses tables where a restore of them alone cannot be meant or made. @throws usage */
export function assertTables(members: readonly Held[], tables: readonly string[] | undefined): void {
  if (tables === undefined) return;
  const [member] = members;
  if (member === undefined || members.length > 1) {
    throw new HoldfastError("usage", `Tables are restored of one datastore, and the backup has ${members.length}`, {
      hint: `Say which: ${members.map(({ datastore }) => `--only ${datastore}`).join(", or ")}.`,
    });
  }
  if (findDatastoreDriver(member.kind).parts !== "tables") {
    throw new HoldfastError("usage", `Of "${member.datastore}" no single table can be restored: it is of the kind ${member.kind}`, {
      hint: "Restore all of it; or, with --offline and --to, beside the present data, and take over from there what is needed.",
    });
  }
  if (member.status === "absent") throw new HoldfastError("usage", `"${member.datastore}" was not there when the backup was made`);
}
