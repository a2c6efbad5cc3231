import { stat, statfs } from "node:fs/promises";
import { describeBytes } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Datastore } from "../datastores/contract.ts";
import type { Destination } from "../destinations/contract.ts";

/** Left free on every disk that a run writes to, whatever the estimate says. */
const reserveBytes = 16 << 20;

interface Places {
  readonly datastores: readonly Datastore[];
  readonly destination: Destination;
  readonly stagingDir: string;
}

/**
 * Refuses a run that will not fit before it starts (A15). The estimate is the plain size: compression may need less, never much more.
 * @throws no-space with the figures
 */
export async function assertSpace({ datastores, destination, stagingDir }: Places, signal: AbortSignal): Promise<void> {
  let storedBytes = 0;
  let stagedBytes = 0;
  for (const datastore of datastores) {
    const facts = await datastore.probe(signal);
    storedBytes += facts.estimatedBytes ?? 0;
    stagedBytes += facts.stagingBytes;
  }
  const target = await destination.probe(signal);
  const disk = await statfs(stagingDir, { bigint: true });
  const stagingFree = Number(disk.bavail * disk.bsize);
  const shared = target.device !== undefined && target.device === (await stat(stagingDir)).dev;
  assertFits(`the staging directory ${stagingDir}`, stagedBytes + (shared ? storedBytes : 0), stagingFree);
  if (target.freeBytes !== undefined)
    assertFits(`the destination "${destination.name}"`, storedBytes + (shared ? stagedBytes : 0), target.freeBytes);
}

function assertFits(place: string, neededBytes: number, freeBytes: number): void {
  if (neededBytes + reserveBytes <= freeBytes) return;
  throw new HoldfastError(
    "no-space",
    `This run may need ${describeBytes(neededBytes)} in ${place}, where ${describeBytes(freeBytes)} are free`,
    {
      hint: "Free some space, or point the destination or `settings.stagingDir` at another disk.",
      details: { neededBytes, freeBytes },
    },
  );
}
