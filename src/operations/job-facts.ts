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

/** Remembers what was computed from the catalog and the config until one of them changes, so that asking again costs nothing. */
export class FactsMemory {
  readonly #catalog: Catalog;
  #revision = -1;
  #config: Config | undefined;
  readonly #facts = new Map<string, JobFacts>();
  readonly #values = new Map<string, { readonly value: unknown; readonly fromMs: number; readonly untilMs: number }>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  readJob(config: Config, name: string): JobFacts {
    this.#forgetOld(config);
    const known = this.#facts.get(name);
    if (known !== undefined) return known;
    const facts = readFacts(this.#catalog, name);
    this.#facts.set(name, facts);
    return facts;
  }

  /** Something that stays right from `nowMs` until an instant, as long as neither catalog nor config change. */
  readTimed<Value>(config: Config, name: string, nowMs: number, compute: () => { readonly value: Value; readonly untilMs: number }): Value {
    this.#forgetOld(config);
    const known = this.#values.get(name);
    // A clock that was set back makes it wrong too.
    if (known !== undefined && nowMs >= known.fromMs && nowMs < known.untilMs) return known.value as Value;
    const { value, untilMs } = compute();
    // Computing may itself write to the catalog, the first time that a schedule is seen.
    this.#forgetOld(config);
    this.#values.set(name, { value, fromMs: nowMs, untilMs });
    return value;
  }

  #forgetOld(config: Config): void {
    const { revision } = this.#catalog;
    if (revision === this.#revision && config === this.#config) return;
    this.#revision = revision;
    this.#config = config;
    this.#facts.clear();
    this.#values.clear();
  }
}

function readFacts({ statistics, backups, runs }: Catalog, name: string): JobFacts {
  return {
    statistics: statistics.read(name),
    freeze: backups.findFreeze(name),
    lastEnded: runs.list({
      job: name,
      kind: "backup",
      states: ["ok", "partial", "suspect", "failed", "interrupted", "cancelled"],
      limit: 1,
    })[0],
    damaged: backups.find({ job: name }).filter((backup) => backup.damaged !== null),
  };
}
