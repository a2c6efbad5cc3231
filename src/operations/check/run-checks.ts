import { systemClock } from "../../base/clock.ts";
import type { Config } from "../../config/config.ts";
import { withStateExplained } from "../explain-state-error.ts";
import { openStagingDirectory } from "../staging.ts";
import { checkChannels } from "./check-channels.ts";
import { checkClock } from "./check-clock.ts";
import { checkCommands } from "./check-commands.ts";
import { checkConfigFiles } from "./check-config-files.ts";
import { checkContainment } from "./check-containment.ts";
import { checkDestinations } from "./check-destinations.ts";
import { checkDisks } from "./check-disks.ts";
import { checkFixedCopies } from "./check-fixed-copies.ts";
import { checkJobs } from "./check-jobs.ts";
import { checkOldJobs } from "./check-old-jobs.ts";
import { checkRestores } from "./check-restores.ts";
import { checkServices } from "./check-services.ts";
import { checkSources } from "./check-sources.ts";
import { checkSpace } from "./check-space.ts";
import { checkTools } from "./check-tools.ts";
import { checkUnit } from "./check-unit.ts";
import type { Finding } from "./finding.ts";
import { findingOfError } from "./finding-of-error.ts";

/** Looks at everything that the config's jobs need, without the daemon and without disturbing anything. */
export async function runChecks(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const look = async (what: string, probe: () => Promise<readonly Finding[]>): Promise<void> => {
    try {
      findings.push(...(await probe()));
    } catch (error) {
      signal.throwIfAborted();
      findings.push(findingOfError("fail", what, error));
    }
  };
  await look("config files", () => checkConfigFiles(config));
  await look("jobs", () => Promise.resolve(checkJobs(config)));
  await look("programs", () => checkTools(config, signal));
  await look("commands", () => checkCommands(config, signal));
  await look("sources and destinations", async () => {
    const { stagingDir } = config.settings;
    await using staging = await withStateExplained(stagingDir, () => openStagingDirectory(stagingDir, "check"));
    const sources = await checkSources(config, staging.path, signal);
    const destinations = await checkDestinations(config, signal);
    return [
      ...sources.findings,
      ...destinations.findings,
      ...(await checkSpace(config, sources.facts, destinations.facts)),
      ...checkDisks(config, sources.facts, destinations.facts),
    ];
  });
  await look("services", () => checkServices(config, signal));
  await look("restores", () => checkRestores(config, signal));
  await look("fixed copies", () => checkFixedCopies(config, signal));
  await look("places", () => Promise.resolve(checkContainment(config)));
  await look("clock", () => checkClock(config, systemClock.now(), signal));
  await look("notifications", () => Promise.resolve(checkChannels(config)));
  await look("old jobs", () => checkOldJobs(config, "/"));
  await look("unit", () => checkUnit(config, signal));
  return findings;
}
