import { HoldfastError, reportError } from "../base/errors.ts";
import type { CatalogFile, Cell } from "./catalog-file.ts";
import type { FinalRunState, Run, RunFilter, RunKind, RunOutcome, Runs, RunState } from "./contract.ts";
import { createWhere } from "./create-where.ts";

export class RunTable implements Runs {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  start(run: Parameters<Runs["start"]>[0]): Run {
    const started: Run = { ...run, state: "running" };
    this.#insert(started);
    return started;
  }

  finish(id: string, outcome: RunOutcome): Run {
    return this.#file.transact(() => {
      const run = this.get(id);
      if (run === undefined) throw new HoldfastError("unknown-name", `There is no run ${id}`, { hint: "`holdfast runs` lists them." });
      if (run.state !== "running") throw new HoldfastError("conflict", `Cannot finish the run ${id}: it ended as ${run.state}`);
      return this.#save({ ...run, ...outcome });
    });
  }

  record(run: Run & { readonly state: FinalRunState }): void {
    this.#insert(run);
  }

  get(id: string): Run | undefined {
    return this.#select("WHERE id = ?", id)[0];
  }

  list({ job, kind, states, limit = -1 }: RunFilter = {}): readonly Run[] {
    const { where, values } = createWhere([
      ["job = ?", job],
      ["kind = ?", kind],
      ["state IN (SELECT value FROM json_each(?))", states],
    ]);
    return this.#select(`${where} ORDER BY sequence DESC LIMIT ?`, ...values, limit);
  }

  findLast(job: string, kind: RunKind, states?: readonly RunState[]): Run | undefined {
    return this.list({ job, kind, limit: 1, ...(states === undefined ? {} : { states }) })[0];
  }

  interruptAll(atMs: number): readonly Run[] {
    return this.#file.transact(() =>
      this.list({ states: ["running"] })
        .toReversed()
        .map((run) => this.#save({ ...run, state: "interrupted", finishedAtMs: atMs, ...describeInterruption(run) })),
    );
  }

  prune(beforeMs: number): number {
    this.#file.touch(undefined);
    const lasts = "SELECT max(sequence) FROM runs GROUP BY job, kind, state";
    return this.#file.run(`DELETE FROM runs WHERE finished_at_ms < ? AND sequence NOT IN (${lasts})`, beforeMs);
  }

  #insert(run: Run): void {
    this.#file.transact(() => {
      if (this.get(run.id) !== undefined) throw new HoldfastError("conflict", `There is a run ${run.id} already`);
      this.#file.run("INSERT INTO runs (record) VALUES (?)", JSON.stringify(run));
      this.#touch(run);
    });
  }

  #save(run: Run): Run {
    this.#file.run("UPDATE runs SET record = ? WHERE id = ?", JSON.stringify(run), run.id);
    this.#touch(run);
    return run;
  }

  #touch({ job }: Run): void {
    if (job !== undefined) this.#file.touch(`job:${job}`);
  }

  #select(tail: string, ...values: readonly Cell[]): readonly Run[] {
    return this.#file.records(`SELECT record FROM runs ${tail}`, ...values) as readonly Run[];
  }
}

function describeInterruption({ kind, job }: Run): Pick<Run, "summary" | "error"> {
  const message = `Cannot finish the ${kind}${job === undefined ? "" : ` of "${job}"`}: Holdfast ended while it was going on`;
  return { summary: message, error: reportError(new HoldfastError("interrupted", message)) };
}
