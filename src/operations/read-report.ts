import { formatInstant } from "../base/clock.ts";
import { describeCause } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import { openDestination } from "./verify.ts";

const dayMs = 24 * 3_600_000;
const newestShown = 5;

export interface ReportedBackup {
  readonly id: string;
  readonly name: string;
  readonly destination: string;
  readonly createdAt: string;
  readonly storedBytes: number;
  /** Whether it is ok, verified, neither suspect nor damaged. */
  readonly good: boolean;
  /** Datastores that were left out of it, or are there in part only. */
  readonly lacks: readonly string[];
}

export interface JobReport {
  readonly job: string;
  /** Each once, however many copies there are. */
  readonly backups: number;
  readonly copies: number;
  /** Over all copies. */
  readonly storedBytes: number;
  /** At most five. */
  readonly newest: readonly ReportedBackup[];
  readonly oldest: ReportedBackup | null;
  /** No backup at all was made in the last 24 hours. */
  readonly noneInLastDay: boolean;
  readonly olderThan30Days: { readonly backups: number; readonly storedBytes: number };
}

export interface DestinationReport {
  readonly destination: string;
  readonly copies: number;
  readonly storedBytes: number;
  readonly freeBytes: number | null;
  readonly totalBytes: number | null;
  /** Why it cannot be asked now. */
  readonly problem: string | null;
}

/** What there is, for people who look once a week (A11). */
export interface Report {
  readonly at: string;
  readonly host: string;
  readonly jobs: readonly JobReport[];
  readonly destinations: readonly DestinationReport[];
}

export async function readReport(core: Core, signal: AbortSignal): Promise<Report> {
  const host = core.config.settings.hostname;
  const backups = core.catalog.backups.find({ class: "backup", host }).filter(({ missingSinceMs }) => missingSinceMs === null);
  const destinations: DestinationReport[] = [];
  for (const name of core.config.destinations.keys()) destinations.push(await reportDestination(core, name, signal));
  return {
    at: formatInstant(core.clock.now()),
    host,
    jobs: [...core.config.jobs.keys()].map((job) =>
      reportJob(
        job,
        backups.filter((backup) => backup.job === job),
        core.clock.now(),
      ),
    ),
    destinations,
  };
}

/** @param copies newest first */
function reportJob(job: string, copies: readonly CatalogBackup[], nowMs: number): JobReport {
  const once = [...new Map(copies.toReversed().map((copy) => [copy.id, copy])).values()].toReversed();
  const old = copies.filter(({ createdAtMs }) => nowMs - createdAtMs > 30 * dayMs);
  const oldest = once.at(-1);
  const newest = once[0];
  return {
    job,
    backups: once.length,
    copies: copies.length,
    storedBytes: sumBytes(copies),
    newest: once.slice(0, newestShown).map(reportBackup),
    oldest: oldest === undefined ? null : reportBackup(oldest),
    noneInLastDay: newest === undefined || nowMs - newest.createdAtMs > dayMs,
    olderThan30Days: { backups: new Set(old.map(({ id }) => id)).size, storedBytes: sumBytes(old) },
  };
}

function reportBackup(backup: CatalogBackup): ReportedBackup {
  const { id, name, destination, createdAtMs, storedBytes, members, status, verifiedAtMs, damaged, suspect, accepted } = backup;
  const good = status === "ok" && verifiedAtMs !== null && damaged === null && (suspect.length === 0 || accepted !== null);
  const lacks = members.filter((member) => member.status === "failed" || member.status === "partial").map(({ datastore }) => datastore);
  return { id, name, destination, createdAt: formatInstant(createdAtMs), storedBytes, good, lacks };
}

/** Pre-restore backups take space too. An unplugged disk is a fact, not a failure of the report. */
async function reportDestination(core: Core, name: string, signal: AbortSignal): Promise<DestinationReport> {
  const held = core.catalog.backups.find({ destination: name });
  const known = { destination: name, copies: held.length, storedBytes: sumBytes(held) };
  try {
    await using destination = await openDestination(describeDestination(core.config, name));
    const { freeBytes, totalBytes } = await destination.probe(AbortSignal.any([signal, AbortSignal.timeout(10_000)]));
    return { ...known, freeBytes: freeBytes ?? null, totalBytes: totalBytes ?? null, problem: null };
  } catch (error) {
    return { ...known, freeBytes: null, totalBytes: null, problem: describeCause(error) };
  }
}

const sumBytes = (backups: readonly CatalogBackup[]): number => backups.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
