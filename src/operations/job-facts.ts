import { z } from "zod";
import type { Catalog, CatalogBackup, Freeze, JobStatistics, Run } from "../catalog/contract.ts";
import type { Config } from "../config/config.ts";

/** What the catalog knows of a job, for status and alarms. */
export interface JobFacts {
  readonly statistics: JobStatistics;
  readonly freeze: Freeze | undefined;
  /** The last backup run that has ended. */
  readonly lastEnded: Run | undefined;
  readonly damaged: readonly CatalogBackup[];
  /** Known not to be at their destination any more. */
  readonly missing: readonly CatalogBackup[];
  /** The last verification and the last drill that came to an end of their own. */
  readonly lastProofs: readonly Run[];
  /** What the last backup run, which was ok, has made, when somebody else has removed it and no good backup is left. */
  readonly vanished: { readonly name: string; readonly destination: string } | undefined;
}

interface Remembered<Value> {
  readonly value: Value;
  readonly revision: number;
  readonly config: Config;
}

/** Remembers what was computed from the catalog and the config until one of them changes, so that asking again costs nothing. */
export class FactsMemory {
  readonly #catalog: Catalog;
  readonly #facts = new Map<string, Remembered<JobFacts>>();
  #next: (Remembered<unknown> & { readonly fromMs: number; readonly untilMs: number }) | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  readJob(config: Config, name: string): JobFacts {
    const revision = this.#catalog.revisionOf(`job:${name}`);
    const known = this.#facts.get(name);
    if (known?.revision === revision && known.config === config) return known.value;
    const value = readFacts(this.#catalog, config, name);
    this.#facts.set(name, { value, revision, config });
    return value;
  }

  /** What follows from the slots and stays right from `nowMs` until an instant. There is one such value. */
  readNext<Value>(config: Config, nowMs: number, compute: () => { readonly value: Value; readonly untilMs: number }): Value {
    const known = this.#next;
    const fresh = known?.config === config && known.revision === this.#catalog.revisionOf("slots");
    // A clock that was set back makes it wrong too.
    if (known !== undefined && fresh && nowMs >= known.fromMs && nowMs < known.untilMs) return known.value as Value;
    const computed = compute();
    // Computing writes to the catalog the first time that a schedule is seen.
    this.#next = { ...computed, config, revision: this.#catalog.revisionOf("slots"), fromMs: nowMs };
    return computed.value;
  }
}

function readFacts(catalog: Catalog, config: Config, name: string): JobFacts {
  const { statistics, backups, runs } = catalog;
  const host = config.settings.hostname;
  const own = backups.find({ job: name, host });
  const lastEnded = runs.findLast(name, "backup", ["ok", "partial", "suspect", "failed", "interrupted", "cancelled"]);
  const counted = statistics.read(name, host);
  return {
    statistics: counted,
    freeze: backups.findFreeze(name, host),
    lastEnded,
    damaged: own.filter((backup) => backup.damaged !== null),
    missing: own.filter((backup) => backup.missingSinceMs !== null),
    lastProofs: (["verify", "drill"] as const).flatMap((kind) => runs.findLast(name, kind, ["ok", "failed"]) ?? []),
    vanished: lastEnded === undefined || counted.newestGood !== undefined ? undefined : findVanished(catalog, config, lastEnded),
  };
}

/** What a run has made and the catalog does not have any more, unless it was deleted on purpose. */
function findVanished({ backups, runs }: Catalog, { destinations }: Config, run: Run): JobFacts["vanished"] {
  const made = madeSchema.safeParse(run.details).data;
  if (run.state !== "ok" || run.job === undefined || run.backupId === undefined || made === undefined) return undefined;
  // What was made elsewhere is not in the catalog.
  if (!destinations.has(made.destination) || backups.get(made.destination, run.backupId) !== undefined) return undefined;
  const removal = runs.findLast(run.job, "remove", ["ok"]);
  const deleted = removal?.trigger === "delete" && removal.startedAtMs >= run.startedAtMs;
  return deleted ? undefined : made;
}

const madeSchema = z.object({ name: z.string(), destination: z.string() });
