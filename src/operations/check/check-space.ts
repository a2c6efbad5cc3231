import { stat, statfs } from "node:fs/promises";
import { describeBytes } from "../../base/describe-amount.ts";
import { describeCause } from "../../base/errors.ts";
import type { Config } from "../../config/config.ts";
import type { ProbeFacts } from "../../datastores/contract.ts";
import type { DestinationFacts } from "../../destinations/contract.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** As the forecast of a run leaves free. */
const reserveBytes = 16 << 20;

/** Compares what each job may need with what is free: at its destinations and for staged copies. */
export async function checkSpace(
  config: Config,
  sources: ReadonlyMap<string, ProbeFacts>,
  destinations: ReadonlyMap<string, DestinationFacts>,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const staging = await readStaging(config.settings.stagingDir);
  if (typeof staging === "string") return [fail("staging directory", staging, "Make it, or set `settings.stagingDir`.")];
  for (const job of config.jobs.values()) {
    const known = job.datastores.flatMap((name) => sources.get(name) ?? []);
    const storedBytes = known.reduce((sum, { estimatedBytes }) => sum + (estimatedBytes ?? 0), 0);
    const stagedBytes = known.reduce((sum, { stagingBytes }) => sum + stagingBytes, 0);
    let neededInStaging = stagedBytes;
    for (const name of [job.destination, ...job.copies]) {
      const place = destinations.get(name);
      if (place?.freeBytes === undefined) continue;
      const isShared = place.device === staging.device;
      if (isShared && name === job.destination) neededInStaging = stagedBytes + storedBytes;
      findings.push(compare(`space for ${job.name} in ${name}`, storedBytes + (isShared ? stagedBytes : 0), place.freeBytes));
    }
    if (stagedBytes > 0)
      findings.push(compare(`space for ${job.name} in ${config.settings.stagingDir}`, neededInStaging, staging.freeBytes));
  }
  return findings;
}

function compare(what: string, neededBytes: number, freeBytes: number): Finding {
  const detail = `a run may need ${describeBytes(neededBytes)}, ${describeBytes(freeBytes)} are free`;
  if (neededBytes + reserveBytes > freeBytes) return fail(what, detail, "Free some space, or use another disk.");
  return 3 * neededBytes + reserveBytes > freeBytes ? warn(what, `${detail}: that is not enough for three`) : ok(what, detail);
}

async function readStaging(path: string): Promise<{ readonly freeBytes: number; readonly device: number } | string> {
  try {
    const { bavail, bsize } = await statfs(path, { bigint: true });
    return { freeBytes: Number(bavail * bsize), device: (await stat(path)).dev };
  } catch (error) {
    return describeCause(error);
  }
}
