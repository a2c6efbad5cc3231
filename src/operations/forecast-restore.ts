import { stat, statfs } from "node:fs/promises";
import { describeBytes } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { TargetFacts } from "../datastores/contract.ts";
import type { Destination } from "../destinations/contract.ts";
import { estimateCompressed, reserveBytes } from "./forecast.ts";

/** What one datastore's restore writes. */
export interface RestoreDemand {
  readonly datastore: string;
  /** Of the member that comes back. */
  readonly plainBytes: number;
  readonly facts: TargetFacts;
  /** How backups of what is there were compressed before; undefined where that is not known. */
  readonly ratio?: number | undefined;
}

/** What a restore needs of one disk. */
export interface SpaceNeed {
  /** For people: the places on this disk, and what goes there. */
  readonly place: string;
  readonly neededBytes: number;
  /** Null where it cannot be asked: a server's own disk. */
  readonly freeBytes: number | null;
  /** Null where it is not known. */
  readonly fits: boolean | null;
}

interface Places {
  readonly stagingDir: string;
  /** Where what is there now is saved first; undefined where it need not be. */
  readonly saveTo: Destination | undefined;
  /** An archive is spooled whole before it is framed. */
  readonly layout: "directory" | "archive" | "file";
}

interface Part {
  readonly what: string;
  readonly bytes: number;
  readonly device: number | undefined;
  readonly freeBytes: number | null;
}

/**
 * What a restore needs of each disk beside what is there: the staged copy, the backup of what is there now (by how it was compressed
 * before; without that by its plain size, never much worse), and what that backup stages. All of it exists at the same time. Upper estimates.
 */
export async function forecastRestore(
  demands: readonly RestoreDemand[],
  places: Places,
  signal: AbortSignal,
): Promise<readonly SpaceNeed[]> {
  const parts: Part[] = [];
  for (const demand of demands) parts.push(await measureStaged(demand));
  const saved = places.saveTo === undefined ? [] : demands.filter(({ facts }) => facts.present);
  const savedBytes = saved.reduce((sum, { facts, ratio }) => sum + estimateCompressed(facts.saveBytes ?? facts.bytes, ratio), 0);
  if (places.saveTo !== undefined && savedBytes > 0) parts.push(await measureSaved(places.saveTo, savedBytes, signal));
  const spooled = places.layout === "archive" ? savedBytes : 0;
  const stagedBytes = saved.reduce((sum, { facts }) => sum + (facts.saveStagingBytes ?? 0), spooled);
  if (stagedBytes > 0) parts.push({ what: "the staging directory", bytes: stagedBytes, ...(await measureDisk(places.stagingDir)) });
  const disks = Map.groupBy(parts, ({ device, what }) => device ?? what);
  return [...disks.values()].map(describeDisk);
}

/** The present data is put aside by renaming, so that only what is new needs room; `neededBytes` beyond its size is copied aside. */
async function measureStaged({ datastore, plainBytes, facts }: RestoreDemand): Promise<Part> {
  const bytes = plainBytes + Math.max(0, facts.neededBytes - facts.bytes);
  if (facts.neededAt !== undefined)
    return { what: `copy of ${datastore} at ${facts.neededAt}`, bytes, ...(await measureDisk(facts.neededAt)) };
  return { what: `copy of ${datastore} on its server's own disk`, bytes, device: undefined, freeBytes: null };
}

async function measureSaved(destination: Destination, bytes: number, signal: AbortSignal): Promise<Part> {
  const what = `backup of what is there now at "${destination.name}"`;
  const { device, freeBytes } = await destination.probe(signal);
  return { what, bytes, device, freeBytes: freeBytes ?? null };
}

async function measureDisk(path: string): Promise<Pick<Part, "device" | "freeBytes">> {
  try {
    const disk = await statfs(path, { bigint: true });
    return { device: (await stat(path)).dev, freeBytes: Number(disk.bavail * disk.bsize) };
  } catch {
    return { device: undefined, freeBytes: null }; // not to be asked: said as unknown
  }
}

function describeDisk(parts: readonly Part[]): SpaceNeed {
  const neededBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const known = parts.flatMap(({ freeBytes }) => (freeBytes === null ? [] : [freeBytes]));
  const freeBytes = known.length === 0 ? null : Math.min(...known);
  return {
    place: parts.map(({ what }) => what).join(", "),
    neededBytes,
    freeBytes,
    fits: freeBytes === null ? null : neededBytes + reserveBytes <= freeBytes,
  };
}

/** `needs 1.2 GiB, 800.0 MiB are free`. */
export function describeNeed({ place, neededBytes, freeBytes, fits }: SpaceNeed): string {
  const free = freeBytes === null ? "what is free there is not known" : `${describeBytes(freeBytes)} free`;
  return `up to ${describeBytes(neededBytes)} (${place}); ${free}${fits === false ? `, of which ${describeBytes(reserveBytes)} must stay so` : ""}`;
}

/** A15: refuses a restore that will not fit before anything is stopped or touched. @throws no-space with the figures */
export function assertRestoreFits(needs: readonly SpaceNeed[]): void {
  const short = needs.find(({ fits }) => fits === false);
  if (short === undefined) return;
  throw new HoldfastError("no-space", `The restore may need ${describeNeed(short)}`, {
    hint: "Free some space there, or restore less (--only). With --unsavable=raw what is there now need not be saved first; then there is no undo. Nothing was stopped or touched.",
    details: { place: short.place, neededBytes: short.neededBytes, freeBytes: short.freeBytes },
  });
}
