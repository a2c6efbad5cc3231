import { describeAge } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { listDoubts } from "./list-doubts.ts";

/** A backup that `latest` does not mean, although it is newer, and why. */
export interface PassedOver {
  readonly name: string;
  readonly reasons: readonly string[];
}

interface Scope {
  readonly job?: string | undefined;
  readonly destination?: string | undefined;
  /** The path that an offline verb was given. */
  readonly offline?: string;
}

type Unreadable = readonly { readonly key: string; readonly reason: string }[];

/**
 * What is newer than the chosen one, of its job. Manifests that cannot be read tell neither job nor age, so all of them may be newer and
 * are told.
 * @param candidates newest first; copies of one backup at several destinations count as one
 */
export function listPassedOver(chosen: CatalogBackup, candidates: readonly CatalogBackup[], unreadable: Unreadable): readonly PassedOver[] {
  const newer = candidates.filter(
    (backup) =>
      backup.class === "backup" &&
      backup.job === chosen.job &&
      backup.id !== chosen.id &&
      (backup.createdAtMs > chosen.createdAtMs ||
        (backup.createdAtMs === chosen.createdAtMs && backup.host === chosen.host && backup.sequence > chosen.sequence)),
  );
  return [
    ...[...Map.groupBy(newer, ({ id }) => id).values()].map((copies) => describeCopies(copies, chosen.host)),
    ...describeUnreadable(unreadable, newer),
  ];
}

function describeCopies(copies: readonly CatalogBackup[], host: string | undefined): PassedOver {
  // The best of its copies tells what it lacks.
  const [best] = copies
    .map((backup) => ({ backup, reasons: listReasons(backup, host) }))
    .toSorted((a, b) => a.reasons.length - b.reasons.length);
  if (best === undefined) return { name: "", reasons: [] };
  const { backup, reasons } = best;
  return { name: backup.name, reasons: reasons.length > 0 ? reasons : [`it is at "${backup.destination}" only`] };
}

/** Why `latest` does not mean a backup. */
function listReasons(backup: CatalogBackup, host: string | undefined): readonly string[] {
  const foreign = host !== undefined && backup.host !== undefined && backup.host !== host;
  const doubts = listDoubts(backup).map((doubt) =>
    doubt === "damaged" && backup.damaged !== null ? `damaged (${backup.damaged})` : doubt,
  );
  return [
    ...(backup.missingSinceMs === null ? [] : ["missing at its destination"]),
    ...doubts,
    ...(foreign ? [`of another machine, ${backup.host}`] : []),
  ];
}

/** One whose manifest the catalog knows, and calls damaged, is told already. */
function describeUnreadable(unreadable: Unreadable, told: readonly CatalogBackup[]): readonly PassedOver[] {
  return unreadable
    .filter(({ key }) => !told.some(({ manifestKey }) => manifestKey === key))
    .map(({ key, reason }) => ({ name: key, reasons: [`its manifest cannot be read, so its age is not known: ${reason}`] }));
}

/** Lines for people. */
export function describePassedOver(passedOver: readonly PassedOver[]): readonly string[] {
  return passedOver.map(({ name, reasons }) => `${name} was passed over: ${reasons.join(", ")}`);
}

/**
 * Nothing good at all: says what there is, and the explicit word.
 * @param candidates newest first
 */
export function createNoneGoodError(
  error: HoldfastError,
  candidates: readonly CatalogBackup[],
  unreadable: Unreadable,
  scope: Scope,
): HoldfastError {
  const { job, destination, offline } = scope;
  const own = candidates.filter(
    (backup) =>
      backup.class === "backup" &&
      (job === undefined || backup.job === job) &&
      (destination === undefined || backup.destination === destination),
  );
  const lines = own.map((backup) => {
    const reasons = listReasons(backup, undefined);
    return `${backup.name} (${describeAge(Date.now() - backup.createdAtMs)} old, ${reasons.join(", ")})`;
  });
  const all = [...lines, ...unreadable.map(({ key, reason }) => `${key} (its manifest cannot be read: ${reason})`)];
  if (all.length === 0) return error;
  const more = all.length > 5 ? ` and ${all.length - 5} more` : "";
  const [first] = own.filter(({ missingSinceMs, damaged }) => missingSinceMs === null && damaged === null);
  const word =
    first === undefined
      ? ""
      : ` To take one as it is: \`holdfast restore${offline === undefined ? "" : ` --offline ${offline}`} ${first.name} --accept-doubtful\`.`;
  const verify = offline === undefined ? "`holdfast verify NAME` makes an unverified one good, if it is." : "";
  return new HoldfastError(error.code, `${error.message}; there is: ${all.slice(0, 5).join("; ")}${more}`, {
    hint: `${verify}${word}`.trim(),
    cause: error,
    details: { candidates: own.slice(0, 20).map(({ id, name }) => ({ id, name })) },
  });
}
