import { HoldfastError } from "../../base/errors.ts";
import type { Config, DatastoreConfig } from "../../config/config.ts";
import type { ProbeFacts } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import { isAllowedToMiss } from "../open-source.ts";
import { openStagingDirectory } from "../staging.ts";
import { type Finding, ok, warn } from "./finding.ts";
import { findingOfError } from "./finding-of-error.ts";

export interface CheckedSources {
  readonly findings: readonly Finding[];
  /** What the probes told, of those that can be read. */
  readonly facts: ReadonlyMap<string, ProbeFacts>;
}

/** A server that is away is waited for; the others need not wait for that. */
const atOnce = 4;

/** Opens every source as a backup would, by its driver's probe, and copies nothing. What is found comes in the order of the config. */
export async function checkSources(config: Config, stagingDir: string, signal: AbortSignal): Promise<CheckedSources> {
  const datastores = [...config.datastores.values()];
  const checked = new Map<string, CheckedSource>();
  const waiting = datastores.values();
  const work = async (): Promise<void> => {
    for (const datastore of waiting) checked.set(datastore.name, await checkSource(config, datastore, stagingDir, signal));
  };
  // All of them have ended when this does, whatever came: what they have opened is gone.
  const ended = await Promise.allSettled(Array.from({ length: atOnce }, work));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
  const facts = new Map<string, ProbeFacts>();
  const findings = datastores.flatMap(({ name }): readonly Finding[] => {
    const source = checked.get(name);
    if (source?.facts !== undefined) facts.set(name, source.facts);
    return source?.findings ?? [];
  });
  const used = new Set([...config.jobs.values()].flatMap(({ datastores: names }) => names));
  const idle = [...config.datastores.keys()].filter((name) => !used.has(name));
  for (const name of idle) findings.push(warn(`source ${name}`, "no job backs it up", "Name it in a job's `datastores`."));
  return { findings, facts };
}

interface CheckedSource {
  readonly findings: readonly Finding[];
  readonly facts: ProbeFacts | undefined;
}

async function checkSource(config: Config, datastore: DatastoreConfig, stagingDir: string, signal: AbortSignal): Promise<CheckedSource> {
  const { name, kind, options, optional } = datastore;
  const what = `source ${name}`;
  const onMissing = findOnMissing(config, datastore);
  const absence = optional ? "ok" : onMissing === "absent" ? "warn" : "fail";
  try {
    await using staging = await openStagingDirectory(stagingDir, `${name}-check`);
    const configured = findDatastoreDriver(kind).configure(options);
    await using opened = await configured.open({ name, stagingDir: staging.path, progress: () => undefined });
    const facts = await opened.probe(signal);
    const notes = facts.notes.map(({ level, message }) => describeNote(what, level, message));
    return { findings: [describeSource(what, facts, absence), ...notes], facts };
  } catch (error) {
    signal.throwIfAborted();
    const isSkipped = error instanceof HoldfastError && isAllowedToMiss(error, onMissing);
    return { findings: [findingOfError(isSkipped ? "warn" : "fail", what, error)], facts: undefined };
  }
}

/** `skip` when no job fails for its absence; `absent` when no job has it: a place that is only restored to need not be there yet. */
function findOnMissing({ jobs }: Config, { name, onMissing }: DatastoreConfig): "fail" | "skip" | "absent" {
  const users = [...jobs.values()].filter(({ datastores }) => datastores.includes(name));
  if (users.length === 0) return "absent";
  return onMissing ?? (users.every((job) => job.onMissing === "skip") ? "skip" : "fail");
}

function describeSource(what: string, { absent, summary, estimatedBytes }: ProbeFacts, absence: Finding["level"]): Finding {
  if (absent && absence === "ok") return ok(what, `${summary} (optional)`);
  if (absent) return { level: absence, what, detail: summary, hint: "Say `optional: true` if it may be missing." };
  return estimatedBytes === 0 ? warn(what, `${summary}: it is empty`) : ok(what, summary);
}

function describeNote(what: string, level: "info" | "warning" | "partial", message: string): Finding {
  return level === "info" ? ok(what, message) : warn(what, message);
}
