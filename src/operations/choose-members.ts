import { HoldfastError } from "../base/errors.ts";

export interface Held {
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
