import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { Config, DatastoreConfig } from "../../config/config.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import { askState } from "../hold/ask-state.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** What can be tried of the services of datastores without stopping one: each is asked how it stands, as it is asked before a copy. */
export async function checkServices(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const datastore of config.datastores.values()) {
    findings.push(...checkRestorable(config, datastore));
    if (datastore.service !== undefined) findings.push(await checkService(datastore, datastore.service, signal));
  }
  return findings;
}

async function checkService(
  { name }: DatastoreConfig,
  { what, ask }: NonNullable<DatastoreConfig["service"]>,
  signal: AbortSignal,
): Promise<Finding> {
  const about = `service of ${name}`;
  if (ask === undefined)
    return warn(about, "nobody can be asked whether it runs, so it is started after each copy", "Name a command in `service.running`.");
  try {
    const state = await askState(ask, signal);
    if (state === "running") return ok(about, `${what} runs`);
    if (state === "unknown")
      return fail(
        about,
        `${what} is not there, or has another name`,
        "Correct `project`, `file` and `directory`; or make it: `docker compose up --no-start`.",
      );
    return warn(about, `${what} is ${state} now`, "A server that is stopped is copied as it stands, and not started afterwards.");
  } catch (error) {
    signal.throwIfAborted();
    return fail(about, describeCause(error), error instanceof HoldfastError ? error.hint : undefined);
  }
}

/** One whose data can only be replaced while its server stands still, and nobody stops it. */
function checkRestorable(config: Config, { name, kind, options, service }: DatastoreConfig): readonly Finding[] {
  if ((service?.stop.length ?? 0) > 0 || !findDatastoreDriver(kind).configure(options).restoresStopped) return [];
  const jobs = [...config.jobs.values()].filter(({ datastores, restore }) => datastores.includes(name) && restore.stop.length === 0);
  return jobs.map((job) =>
    warn(
      `restore of ${job.name}`,
      `the data of ${name} can only be replaced while its server is stopped, and nothing stops it`,
      `Write service: {unit: NAME.service} (or dockerCompose, docker, stop and start) in the datastore ${name}.`,
    ),
  );
}
