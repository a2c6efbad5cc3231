import { stat, statfs } from "node:fs/promises";
import { describeBytes } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { ProbeFacts } from "../datastores/contract.ts";
import type { Destination } from "../destinations/contract.ts";
import { chooseCompression } from "./choose-compression.ts";
import type { BackupSetup } from "./setup.ts";

/** Left free on every disk that a run writes to, whatever the estimate says. */
export const reserveBytes = 16 << 20;
/** Data may compress worse than it ever did by this factor. */
const ratioMargin = 1.25;

type Compressed = Pick<BackupSetup, "compression" | "layout" | "history"> & Partial<Pick<BackupSetup, "datastores">>;

interface Places {
  readonly setup: Pick<BackupSetup, "stagingDir" | "datastores" | "group"> & Compressed;
  /** By datastore. */
  readonly probed: ReadonlyMap<string, ProbeFacts>;
  readonly destination: Destination;
}

/**
 * Refuses a run that will not fit before it starts (A15). What it stores is estimated by how the datastore was compressed before; without
 * a history by its plain size: compression may need less, never much more. An archive is spooled whole before it is framed.
 * @throws no-space with the figures; destination-unmarked before anything is dumped for nothing
 */
export async function assertSpace({ setup, probed, destination }: Places, signal: AbortSignal): Promise<void> {
  const { stagingDir, layout } = setup;
  let storedBytes = 0;
  let stagedBytes = 0;
  for (const [name, facts] of probed) {
    storedBytes += estimateStored(name, facts, setup);
    stagedBytes += isSnapshotted(name, setup) ? (facts.snapshotBytes ?? facts.stagingBytes) : facts.stagingBytes;
  }
  if (layout === "archive") stagedBytes += storedBytes;
  const target = await destination.probe(signal);
  // Made for another destination is another trouble than never made: the advice would be wrong.
  const foreign = target.notes.find(({ code }) => code === "destination-foreign");
  if (foreign !== undefined) throw new HoldfastError("destination-foreign", foreign.message);
  if (!target.marked) throw createUnmarkedError(destination.name, target.summary);
  const disk = await statfs(stagingDir, { bigint: true });
  const stagingFree = Number(disk.bavail * disk.bsize);
  const shared = target.device !== undefined && target.device === (await stat(stagingDir)).dev;
  assertFits(`the staging directory ${stagingDir}`, stagedBytes + (shared ? storedBytes : 0), stagingFree);
  if (target.freeBytes !== undefined)
    assertFits(`the destination "${destination.name}"`, storedBytes + (shared ? stagedBytes : 0), target.freeBytes);
}

/** Its state is fixed before it is dumped: in a group, and where it is held still no longer than it has to be. */
export function isSnapshotted(name: string, { datastores, group }: Pick<BackupSetup, "datastores" | "group">): boolean {
  return group !== undefined || datastores.some((each) => each.name === name && each.hold !== undefined);
}

function createUnmarkedError(name: string, place: string): HoldfastError {
  const message = `The destination "${name}" (${place}) has no marker of its own: it was not made yet, or its disk is not mounted`;
  return new HoldfastError("destination-unmarked", message, {
    hint: `Mount the disk; or, when this is the right place: holdfast destination init ${name} (adopt, when there are files in it).`,
  });
}

/** An upper estimate as far as there is one: a datastore that cannot tell its size is taken for as large as the last time. */
function estimateStored(name: string, { estimatedBytes }: ProbeFacts, setup: Compressed): number {
  const plainBytes = estimatedBytes ?? setup.history.sizes[name]?.[0] ?? 0;
  return estimateCompressed(plainBytes, findRatio(name, setup));
}

/** How a datastore was compressed before; undefined where that is not known, or nothing is compressed. */
export function findRatio(name: string, setup: Compressed): number | undefined {
  return chooseCompression(setup, name).method === "none" ? undefined : setup.history.ratios?.[name];
}

export function estimateCompressed(plainBytes: number, ratio: number | undefined): number {
  return ratio === undefined ? plainBytes : Math.ceil(plainBytes * Math.min(1, ratio * ratioMargin));
}

function assertFits(place: string, neededBytes: number, freeBytes: number): void {
  if (neededBytes + reserveBytes <= freeBytes) return;
  throw new HoldfastError(
    "no-space",
    `This run may need ${describeBytes(neededBytes)} in ${place}, where ${describeBytes(freeBytes)} are free and ${describeBytes(reserveBytes)} must stay so`,
    {
      hint: "Free some space, or point the destination or `settings.stagingDir` at another disk.",
      details: { neededBytes, freeBytes },
    },
  );
}
