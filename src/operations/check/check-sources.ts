import { HoldfastError } from "../../base/errors.ts";
import type { Config, DatastoreConfig } from "../../config/config.ts";
import type { ProbeFacts } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import { isAllowedToMiss } from "../open-source.ts";
import { openStagingDirectory } from "../staging.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { findingOfError } from "./finding-of-error.ts";

export interface CheckedSources {
  readonly findings: readonly Finding[];
  /** What the probes told, of those that can be read. */
  readonly facts: ReadonlyMap<string, ProbeFacts>;
}

/** Opens every source as a backup would, by its driver's probe, and copies nothing. */
export async function checkSources(config: Config, stagingDir: string, signal: AbortSignal): Promise<CheckedSources> {
  const findings: Finding[] = [];
  const facts = new Map<string, ProbeFacts>();
  for (const datastore of config.datastores.values()) {
    const { name, kind, options, optional } = datastore;
    const what = `source ${name}`;
    try {
      await using staging = await openStagingDirectory(stagingDir, `${name}-check`);
      const configured = findDatastoreDriver(kind).configure(options);
      await using opened = await configured.open({ name, stagingDir: staging.path, progress: () => undefined });
      const found = await opened.probe(signal);
      facts.set(name, found);
      findings.push(describeSource(what, found, optional), ...found.notes.map(({ level, message }) => describeNote(what, level, message)));
    } catch (error) {
      signal.throwIfAborted();
      const isSkipped = error instanceof HoldfastError && isAllowedToMiss(error, findOnMissing(config, datastore));
      findings.push(findingOfError(isSkipped ? "warn" : "fail", what, error));
    }
  }
  const used = new Set([...config.jobs.values()].flatMap(({ datastores }) => datastores));
  const idle = [...config.datastores.keys()].filter((name) => !used.has(name));
  for (const name of idle) findings.push(warn(`source ${name}`, "no job backs it up", "Name it in a job's `datastores`."));
  return { findings, facts };
}

/** `skip` when no job fails for its absence. */
function findOnMissing({ jobs }: Config, { name, onMissing }: DatastoreConfig): "fail" | "skip" {
  const users = [...jobs.values()].filter(({ datastores }) => datastores.includes(name));
  return onMissing ?? (users.length > 0 && users.every((job) => job.onMissing === "skip") ? "skip" : "fail");
}

function describeSource(what: string, { absent, summary, estimatedBytes }: ProbeFacts, optional: boolean): Finding {
  if (absent) return optional ? ok(what, `${summary} (optional)`) : fail(what, summary, "Say `optional: true` if it may be missing.");
  return estimatedBytes === 0 ? warn(what, `${summary}: it is empty`) : ok(what, summary);
}

function describeNote(what: string, level: "info" | "warning" | "partial", message: string): Finding {
  return level === "info" ? ok(what, message) : warn(what, message);
}
