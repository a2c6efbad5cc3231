import type { Catalog, CatalogBackup, Freeze, JobStatistics, Run } from "../catalog/contract.ts";
import type { Config } from "../config/config.ts";

/** What the catalog knows of a job, for status and alarms. */
export interface JobFacts {
  readonly statistics: JobStatistics;
  readonly freeze: Freeze | undefined;
  /** The last backup run that has ended. */
  readonly lastEnded: Run | undefined;
  readonly damaged: readonly CatalogBackup[];
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
    const value = readFacts(this.#catalog, name, config.settings.hostname);
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

function readFacts({ statistics, backups, runs }: Catalog, name: string, host: string): JobFacts {
  return {
    statistics: statistics.read(name, host),
    freeze: backups.findFreeze(name, host),
    lastEnded: runs.list({
      job: name,
      kind: "backup",
      states: ["ok", "partial", "suspect", "failed", "interrupted", "cancelled"],
      limit: 1,
    })[0],
    damaged: backups.find({ job: name, host }).filter((backup) => backup.damaged !== null),
  };
}
